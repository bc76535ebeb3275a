//! Who calls: the claims that API Gateway's authorizer has verified. Another tenant's anything is 404.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use lambda_http::request::RequestContext;

use super::arrival::Arrival;
use super::problem::Problem;
use crate::context::Context;
use crate::domain::tenant::TenantId;
use crate::usecases::limit_requests::limit_requests;

/// A caller who may see the tenant of the path, within the tenant's limit of requests.
#[derive(Clone, Debug)]
pub struct Caller {
    pub tenant: TenantId,
    pub role: Role,
    /// The token's subject, for the record of who did what.
    pub subject: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Viewer,
    Staff,
    Admin,
}

impl Caller {
    /// # Errors
    /// 403, for what a viewer may not do.
    pub fn require_staff(&self) -> Result<(), Problem> {
        match self.role {
            Role::Staff | Role::Admin => Ok(()),
            Role::Viewer => Err(Problem::forbidden("this takes the role 'staff' or 'admin'")),
        }
    }

    /// # Errors
    /// 403, for what is the admin's alone.
    pub fn require_admin(&self) -> Result<(), Problem> {
        match self.role {
            Role::Admin => Ok(()),
            Role::Viewer | Role::Staff => Err(Problem::forbidden("this takes the role 'admin'")),
        }
    }
}

impl FromRequestParts<Arc<Context>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<Context>) -> Result<Self, Problem> {
        let claim = |name: &str| match parts.extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV2(context)) => {
                let authorizer = context.authorizer.as_ref()?;
                authorizer.jwt.as_ref()?.claims.get(name).cloned()
            }
            _ => None,
        };
        let subject = claim("sub");
        let (Some(claimed), Some(role)) = (claim("tenant"), claim("role")) else { return Err(Problem::unauthorized()) };
        let role = match role.as_str() {
            "viewer" => Role::Viewer,
            "staff" => Role::Staff,
            "admin" => Role::Admin,
            _ => return Err(Problem::forbidden("the token's role is none that we know")),
        };
        let path = RawPathParams::from_request_parts(parts, state).await.ok();
        let asked = path.as_ref().and_then(|path| path.iter().find(|(name, _)| *name == "tenant").map(|(_, tenant)| tenant));
        let tenant = match TenantId::parse(&claimed) {
            Ok(tenant) if asked == Some(tenant.as_str()) => tenant,
            _ => return Err(Problem::not_found("there is nothing at this path")),
        };
        let Ok(Arrival(now)) = Arrival::from_request_parts(parts, state).await;
        match limit_requests(state, &tenant, now).await? {
            Ok(()) => Ok(Self { tenant, role, subject }),
            Err(at) => Err(Problem::too_many_requests(at, now)),
        }
    }
}
