//! Finds the entry of the providers file that lists a model.

use std::cmp::Reverse;

/// The listed models, in the order in which they are compared.
#[derive(Default)]
pub(super) struct Routes(Vec<Route>);

struct Route {
    /// The exact name of a model, or a prefix of names.
    pattern: String,
    is_prefix: bool,
    provider: String,
}

impl Routes {
    /// The models that these providers list. A listed name that ends with `*` stands for all models whose names start
    /// with the text before the `*`.
    pub(super) fn new<'a>(listed: impl IntoIterator<Item = (&'a str, &'a [String])>) -> Self {
        let mut routes = Vec::new();
        for (provider, models) in listed {
            routes.extend(models.iter().map(|model| {
                let prefix = model.strip_suffix('*');
                Route {
                    pattern: prefix.unwrap_or(model).to_owned(),
                    is_prefix: prefix.is_some(),
                    provider: provider.to_owned(),
                }
            }));
        }
        // An exact name takes precedence over a prefix, and a longer prefix over a shorter one.
        routes.sort_by_key(|route| (route.is_prefix, Reverse(route.pattern.len())));
        Self(routes)
    }

    /// The models that are listed by their exact names.
    pub(super) fn models(&self) -> impl Iterator<Item = &str> {
        let exact = self.0.iter().filter(|route| !route.is_prefix);
        exact.map(|route| route.pattern.as_str())
    }

    /// The provider that lists this model.
    pub(super) fn provider_of(&self, model: &str) -> Option<&str> {
        let route = self.0.iter().find(|route| {
            if route.is_prefix {
                model.starts_with(&route.pattern)
            } else {
                model == route.pattern
            }
        })?;
        Some(&route.provider)
    }
}

#[cfg(test)]
mod tests {
    use super::Routes;

    #[test]
    fn an_exact_name_takes_precedence_and_then_the_longest_prefix() {
        let [a, b, all] = [&["m-*", "m-3-x", "a/*"][..], &["m-3-*", "a/b"], &["*"]]
            .map(|models| models.iter().map(|model| (*model).to_owned()).collect());
        let lists: [(&str, Vec<String>); 3] = [("a", a), ("b", b), ("all", all)];
        let routes_of_first = |count: usize| {
            Routes::new(
                lists[..count]
                    .iter()
                    .map(|(name, models)| (*name, models.as_slice())),
            )
        };
        let routes = routes_of_first(3);
        for (model, provider) in [
            ("m-2", "a"),
            ("m-3", "a"),
            ("m-3-8b", "b"),
            ("m-3-x", "a"),
            ("a/b", "b"),
            ("a/c", "a"),
            ("c", "all"),
            ("b/m-2", "all"),
        ] {
            assert_eq!(routes.provider_of(model), Some(provider), "{model}");
        }
        assert_eq!(routes_of_first(2).provider_of("c"), None);
    }
}
