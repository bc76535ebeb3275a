//! The API as the HTTP client of functions in this process: no socket, so that a run whose time is virtual waits for
//! nothing but time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use shared::http_client::{Handler, REQUEST_TIMEOUT};
use tower::ServiceExt;

use super::LocalTwilio;
use super::answer::DropConnection;

impl LocalTwilio {
    /// Answers requests to the API. That a caller has gone changes nothing: what Twilio was asked for is done all the same.
    pub fn handler(&self) -> Handler {
        let router = self.router();
        Arc::new(move |request| {
            let router = router.clone();
            Box::pin(async move {
                let answer = tokio::spawn(answer(router, request));
                match tokio::time::timeout(REQUEST_TIMEOUT, answer).await {
                    Ok(Ok(Some(response))) => response.into(),
                    _ => lost(),
                }
            })
        })
    }
}

async fn answer(router: axum::Router, request: reqwest::Request) -> Option<http::Response<Bytes>> {
    let request: http::Request<reqwest::Body> = request.try_into().ok()?;
    let response = router.oneshot(request.map(axum::body::Body::new)).await.ok()?;
    if response.extensions().get::<DropConnection>().is_some() {
        return None;
    }
    let (parts, body) = response.into_parts();
    Some(http::Response::from_parts(parts, axum::body::to_bytes(body, usize::MAX).await.ok()?))
}

/// What stands for no answer: one that breaks off.
pub fn lost() -> reqwest::Response {
    http::Response::new(reqwest::Body::wrap(BrokenOff)).into()
}

struct BrokenOff;

impl Body for BrokenOff {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }
}
