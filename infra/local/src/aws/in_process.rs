//! The SDK's HTTP client that never opens a socket: it calls the handler in this process.
//!
//! Only whole bodies, as the JSON protocols send them; no streams, and no time-outs but those of `trouble`.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use super::trouble::Lost;
use super::{Answer, Aws};

pub(super) fn client(aws: Aws) -> SharedHttpClient {
    SharedHttpClient::new(Client(SharedHttpConnector::new(Connector(aws))))
}

#[derive(Debug)]
struct Client(SharedHttpConnector);

impl HttpClient for Client {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.0.clone()
    }
}

#[derive(Debug)]
struct Connector(Aws);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let aws = self.0.clone();
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let body = request.body().bytes().map(Bytes::copy_from_slice);
        HttpConnectorFuture::new(async move {
            let body = body.ok_or_else(|| ConnectorError::user("the local AWS takes no streamed bodies".into()))?;
            response(aws.ask(&target, &body).await.map_err(connector_error)?)
        })
    }
}

fn response(answer: Answer) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(answer.status).map_err(|error| ConnectorError::user(error.into()))?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    response.headers_mut().insert("content-type", answer.content_type);
    Ok(response)
}

fn connector_error(lost: Lost) -> ConnectorError {
    match lost {
        Lost::Connection => ConnectorError::io("the connection was lost".into()),
        Lost::TimedOut => ConnectorError::timeout("nothing was answered in time".into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use dynoxide::Database;

    use super::*;
    use crate::aws::{Shares, Trouble};
    use crate::clock::Clock;

    #[tokio::test(start_paused = true)]
    async fn what_is_lost_is_an_error_of_the_connection_and_no_answer() {
        let aws = Aws::new(Database::memory().unwrap(), None, Clock::at("2026-11-21T09:00:00Z".parse().unwrap())).unwrap();
        let trouble = Trouble::new(1);
        let connector = Connector(aws.troubled(trouble.clone()));
        let call = || {
            let mut request = HttpRequest::new(SdkBody::from("{}"));
            request.headers_mut().insert("x-amz-target", "AmazonSQS.SendMessage");
            connector.call(request)
        };
        assert!(call().await.is_ok());

        trouble.set(Shares { lost: 1000, ..Shares::default() });
        let mut errors = Vec::new();
        for _ in 0..40 {
            errors.push(call().await.err().unwrap());
        }

        let timed_out = errors.iter().filter(|error| error.is_timeout()).count();
        let cut_off = errors.iter().filter(|error| error.is_io()).count();
        assert!(timed_out > 0 && cut_off > 0 && timed_out + cut_off == 40);
    }
}
