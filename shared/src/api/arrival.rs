//! When a request arrived: the event's own time, as the gateway stamped it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::Timestamp;
use lambda_http::request::RequestContext;

use crate::clock;

/// The `now` of a request.
#[derive(Clone, Copy, Debug)]
pub struct Arrival(pub Timestamp);

impl<S: Send + Sync> FromRequestParts<S> for Arrival {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let stamped = match parts.extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV2(context)) if context.time_epoch > 0 => {
                Timestamp::from_millisecond(context.time_epoch).ok()
            }
            _ => None,
        };
        Ok(Self(stamped.unwrap_or_else(clock::now)))
    }
}
