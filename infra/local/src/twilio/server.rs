//! The routes, and a server that can close a connection instead of answering.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use http::Uri;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use super::answer::DropConnection;
use super::error::ApiError;
use super::{LocalTwilio, account, available_numbers, calls, concurrency, control, incoming_numbers, media, messages};

impl LocalTwilio {
    /// The API and the control routes. A dropped connection is a 500 here; only `serve` can drop one.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/2010-04-01/Accounts/{account}", get(account::fetch))
            .route("/2010-04-01/Accounts/{account}/Balance.json", get(account::balance))
            .route("/2010-04-01/Accounts/{account}/Messages.json", post(messages::create).get(messages::list))
            .route(
                "/2010-04-01/Accounts/{account}/Messages/{message}",
                get(messages::fetch).post(messages::update).delete(messages::delete),
            )
            .route("/2010-04-01/Accounts/{account}/Messages/{message}/Media.json", get(media::list))
            .route("/2010-04-01/Accounts/{account}/Messages/{message}/Media/{medium}", get(media::fetch).delete(media::delete))
            .route("/2010-04-01/Accounts/{account}/Calls.json", post(calls::create).get(calls::list))
            .route("/2010-04-01/Accounts/{account}/Calls/{call}", get(calls::fetch).delete(calls::delete))
            .route("/2010-04-01/Accounts/{account}/AvailablePhoneNumbers/{country}/{kind}", get(available_numbers::list))
            .route(
                "/2010-04-01/Accounts/{account}/IncomingPhoneNumbers.json",
                post(incoming_numbers::create).get(incoming_numbers::list),
            )
            .route(
                "/2010-04-01/Accounts/{account}/IncomingPhoneNumbers/{number}",
                get(incoming_numbers::fetch).post(incoming_numbers::update).delete(incoming_numbers::release),
            )
            // Of the routes above only: the others are not Twilio's.
            .route_layer(from_fn_with_state(self.clone(), concurrency::tell))
            .route("/_local/inbound", post(control::inbound))
            .route("/_local/call", post(control::call))
            .route("/_local/account", post(control::open_account).put(control::change_account))
            .route("/_local/faults", get(control::faults).put(control::set_faults))
            .route("/_local/ledger", get(control::ledger))
            .route("/_local/calls", get(control::calls))
            .route("/_local/callbacks", get(control::callbacks))
            .fallback(unknown)
            .with_state(self.clone())
    }

    /// Serves the router until the task is dropped.
    pub async fn serve(&self, listener: TcpListener) {
        let router = self.router();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(serve_connection(stream, router.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the local Twilio could not take a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, router: Router) {
    // Small answers: waiting to fill a packet would cost each of them 40 ms.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request: http::Request<Incoming>| answer(router.clone(), request));
    // An error here is a client that hung up, or a connection that we meant to drop.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(router: Router, request: http::Request<Incoming>) -> Result<Response, io::Error> {
    let response: Result<Response, Infallible> = router.oneshot(request).await;
    match response {
        Ok(response) if response.extensions().get::<DropConnection>().is_some() => {
            Err(io::Error::other("the fault script drops this connection"))
        }
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

async fn unknown(uri: Uri) -> ApiError {
    ApiError::not_found(uri.path())
}
