"""A check of schemathesis: each answer of a limited route shows the limits of the tenant."""

import schemathesis

# In lower case, as schemathesis names them.
HEADERS = ("ratelimit-policy", "ratelimit")
# Answers without limits: a request without a valid key or scope belongs to no tenant, and one with a method that the route does not
# have reaches no limited route.
STATUSES_WITHOUT_LIMITS = (401, 403, 405)


@schemathesis.check
def shows_the_limits(ctx, response, case):
    described = case.operation.definition.raw["responses"].values()
    is_limited = any("RateLimit" in answer.get("headers", {}) for answer in described)
    if not is_limited or response.status_code in STATUSES_WITHOUT_LIMITS:
        return
    for name in HEADERS:
        assert response.headers.get(name), f"status {response.status_code} without {name}"
