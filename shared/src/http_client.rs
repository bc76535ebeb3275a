//! The one HTTP client: for Twilio, and under the AWS SDK, so that a function links one HTTP and
//! one TLS stack (docs/adr/0002).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Request, RequestBuilder, Response};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A claim's lease outlasts this, so that nobody else sends what is still under way.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A client with ring and Mozilla's roots: both cost next to nothing at a cold start.
pub fn new() -> reqwest::Client {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("nothing here depends on the machine")
}

/// Answers a request in this process, in place of a server.
pub type Handler = Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Response> + Send>> + Send + Sync>;

/// Where Twilio's requests go: over the network or, for a machine whose time is virtual, to a handler (docs/adr/0029).
#[derive(Clone)]
pub struct Client {
    requests: reqwest::Client,
    handler: Option<Handler>,
}

impl Client {
    /// Nothing leaves this process. The handler keeps the time-outs.
    pub fn through(handler: Handler) -> Self {
        Self { requests: new(), handler: Some(handler) }
    }

    pub fn get(&self, url: String) -> RequestBuilder {
        self.requests.get(url)
    }

    pub fn post(&self, url: String) -> RequestBuilder {
        self.requests.post(url)
    }

    pub fn request(&self, method: Method, url: String) -> RequestBuilder {
        self.requests.request(method, url)
    }

    pub async fn send(&self, request: RequestBuilder) -> reqwest::Result<Response> {
        match &self.handler {
            None => request.send().await,
            Some(handler) => Ok(handler(request.build()?).await),
        }
    }
}

impl From<reqwest::Client> for Client {
    fn from(requests: reqwest::Client) -> Self {
        Self { requests, handler: None }
    }
}
