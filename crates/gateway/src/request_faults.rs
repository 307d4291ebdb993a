//! The faults of one request, in its path, its query, its headers and its body. One response names them together.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{Extensions, request::Parts},
};

use crate::{
    problem::{FIELD_ERRORS_MAX, FieldError, Problem},
    problem_code::ProblemCode,
};

/// The faults found so far, in the order in which the response names those of the same status.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestFaults(Vec<Problem>);

impl RequestFaults {
    /// The faults of the query, which are found before the handler runs.
    pub(crate) fn of_query(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    pub(crate) fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// The value, or `None` after adding the problem.
    pub(crate) fn collect<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.add(problem)).ok()
    }

    /// An error if there are faults.
    pub(crate) fn into_result(self) -> Result<(), Problem> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.into_problem())
        }
    }

    /// The value, if neither `result` nor an earlier check has found a fault.
    pub(crate) fn finish<T>(mut self, result: Result<T, Problem>) -> Result<T, Problem> {
        match self.collect(result) {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.into_problem()),
        }
    }

    /// One response for all faults. It lists the errors of all, and has the code of the fault with the lowest status: 400 for what
    /// is unreadable or unknown, then 415, then 422 for a value. If several faults have this status, the first one decides.
    ///
    /// A problem that names no part of the request, such as a lack of memory, becomes the response only if there is no other problem.
    pub(crate) fn into_problem(self) -> Problem {
        let (mut faults, others): (Vec<_>, Vec<_>) = self
            .0
            .into_iter()
            .partition(|problem| !problem.errors().is_empty());
        faults.sort_by_key(Problem::status);
        let errors = faults.iter().flat_map(Problem::errors);
        let errors: Vec<FieldError> = errors.take(FIELD_ERRORS_MAX).cloned().collect();
        let mut problems = faults.into_iter().chain(others);
        match problems.next() {
            Some(first) if errors.is_empty() => first,
            Some(first) => first.with_all_errors(errors),
            None => {
                tracing::error!("a request without faults was refused");
                Problem::new(ProblemCode::Internal, "the request could not be checked")
            }
        }
    }
}

/// The faults of the query, for a handler that reads no body.
impl<S: Sync> FromRequestParts<S> for RequestFaults {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of_query(&parts.extensions))
    }
}

#[cfg(test)]
mod tests {
    use super::RequestFaults;
    use crate::{
        problem::{FIELD_ERRORS_MAX, FieldError, Problem, RequestPart},
        problem_code::ProblemCode,
    };

    fn fault(code: ProblemCode, part: RequestPart, field: &str) -> Problem {
        Problem::with_field_error(code, part, field, "must be other")
    }

    fn fields(problem: &Problem) -> Vec<&str> {
        let errors = problem.errors().iter();
        errors.map(|error| error.field.as_str()).collect()
    }

    #[test]
    fn the_lowest_status_wins_and_all_faults_are_named() {
        let query = fault(ProblemCode::InvalidRequest, RequestPart::Query, "wait_s");
        let header = fault(
            ProblemCode::UnsupportedMediaType,
            RequestPart::Header,
            "Content-Type",
        );
        let body = fault(ProblemCode::InvalidJson, RequestPart::Body, "body");
        let mut faults = RequestFaults::default();
        assert!(faults.clone().into_result().is_ok());
        faults.add(query.clone());
        let only = faults.clone().into_problem();
        assert_eq!(
            (only.status(), fields(&only)),
            (query.status(), vec!["wait_s"])
        );
        faults.add(header);
        let two = faults.clone().into_problem();
        assert_eq!(
            (two.status().as_u16(), fields(&two)),
            (415, vec!["Content-Type", "wait_s"])
        );
        faults.add(body);
        let all = faults.into_problem();
        assert_eq!(all.status().as_u16(), 400);
        assert_eq!(fields(&all), ["body", "Content-Type", "wait_s"]);
    }

    #[test]
    fn faults_of_the_request_come_before_a_problem_of_the_gateway() {
        let overloaded = Problem::new(ProblemCode::Overloaded, "no memory");
        let mut faults = RequestFaults::default();
        faults.add(overloaded);
        assert_eq!(faults.clone().into_problem().status().as_u16(), 503);
        faults.add(fault(
            ProblemCode::InvalidRequest,
            RequestPart::Header,
            "Idempotency-Key",
        ));
        let problem = faults.into_problem();
        assert_eq!(
            (problem.status().as_u16(), fields(&problem)),
            (422, vec!["Idempotency-Key"])
        );
    }

    #[test]
    fn a_response_names_a_bounded_number_of_faults() {
        let error = |index| FieldError {
            field: format!("f{index}"),
            part: RequestPart::Body,
            message: String::from("must be other"),
        };
        let mut faults = RequestFaults::default();
        faults.add(fault(
            ProblemCode::InvalidRequest,
            RequestPart::Query,
            "wait_s",
        ));
        faults.add(Problem::invalid_fields(
            (0..FIELD_ERRORS_MAX).map(error).collect(),
        ));
        let problem = faults.into_problem();
        assert_eq!(fields(&problem).len(), FIELD_ERRORS_MAX);
        assert_eq!(fields(&problem)[0], "wait_s");
    }
}
