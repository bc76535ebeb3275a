//! The HTTP API's routes, as `template.yaml` has them, and which of them API Gateway picks.

use std::sync::LazyLock;

use axum::http::Method;
use serde_json::Value;

use crate::template::Function;

static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| Function::ALL.into_iter().flat_map(routes_of).collect());

/// One route of the API.
#[derive(Clone, Debug)]
pub struct Route {
    /// Every method, if it names none.
    method: Option<Method>,
    path: Vec<Segment>,
    pub function: Function,
    /// No token is asked for.
    pub is_open: bool,
}

/// A part of a path. In this order, the first that fits is picked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    /// `{name}`: one part, whatever it is.
    Variable,
    /// `{name+}`: all that is left, and at least one part.
    Rest,
}

/// The route of a request: of those that fit, the one whose path says most, and rather its method than any.
///
/// Source: API Gateway Developer Guide, "Routes for HTTP APIs", Routing API requests.
pub fn route(method: &Method, path: &str) -> Option<&'static Route> {
    ROUTES
        .iter()
        .filter(|route| route.method.as_ref().is_none_or(|of_route| of_route == method) && fits(&route.path, path))
        .min_by_key(|route| (route.path.clone(), route.method.is_none()))
}

fn fits(pattern: &[Segment], path: &str) -> bool {
    let mut parts = path.trim_start_matches('/').split('/');
    for segment in pattern {
        let Some(part) = parts.next() else { return false };
        match segment {
            Segment::Literal(text) if text == part => {}
            Segment::Variable if !part.is_empty() => {}
            Segment::Rest => return !part.is_empty(),
            Segment::Literal(_) | Segment::Variable => return false,
        }
    }
    parts.next().is_none()
}

fn routes_of(function: Function) -> Vec<Route> {
    let events = function.properties()["Events"].as_object();
    let of_api = events.into_iter().flat_map(|events| events.values()).filter(|event| event["Type"] == "HttpApi");
    of_api.map(|event| route_of(function, &event["Properties"])).collect()
}

fn route_of(function: Function, event: &Value) -> Route {
    let path = event["Path"].as_str().unwrap_or_default();
    Route {
        method: event["Method"].as_str().filter(|method| *method != "ANY").and_then(|method| method.parse().ok()),
        path: path.trim_start_matches('/').split('/').map(segment).collect(),
        function,
        is_open: event["Auth"]["Authorizer"] == "NONE",
    }
}

fn segment(part: &str) -> Segment {
    match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(name) if name.ends_with('+') => Segment::Rest,
        Some(_) => Segment::Variable,
        None => Segment::Literal(part.into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_says_most_is_picked() {
        let function = |method: Method, path: &str| route(&method, path).map(|route| route.function);

        assert_eq!(function(Method::POST, "/v1/tenants/a/messages"), Some(Function::SendMessage));
        assert_eq!(function(Method::POST, "/v1/tenants/a/messages/x/cancel"), Some(Function::SendMessage));
        assert_eq!(function(Method::GET, "/v1/tenants/a/messages"), Some(Function::ManageTenant));
        assert_eq!(function(Method::GET, "/v1/tenants/a/messages/x"), Some(Function::ManageTenant));
        assert_eq!(function(Method::POST, "/v1/tenants/a/conversations/c/reply"), Some(Function::SendMessage));
        assert_eq!(function(Method::POST, "/v1/tenants/a/conversations/c/handled"), Some(Function::ManageTenant));
        assert_eq!(function(Method::POST, "/v1/tenants"), Some(Function::ManageTenant));
        assert_eq!(function(Method::GET, "/v2"), None);
        assert_eq!(function(Method::GET, "/v1/tenants/"), None);
    }

    #[test]
    fn what_is_open_asks_for_no_token() {
        let is_open = |path: &str| route(&Method::GET, path).unwrap().is_open;

        assert!(is_open("/docs") && is_open("/v1/openapi.json") && is_open("/v1/preferences/abc"));
        assert!(!is_open("/v1/tenants/a/settings"));
    }
}
