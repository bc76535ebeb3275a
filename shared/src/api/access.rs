//! Who calls: the claims that API Gateway's authorizer has verified. Another tenant's anything is 404.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use lambda_http::request::RequestContext;

use super::problem::Problem;
use crate::domain::tenant::TenantId;

/// A caller who may see the tenant of the path.
#[derive(Clone, Debug)]
pub struct Caller {
    pub tenant: TenantId,
    pub role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Viewer,
    Staff,
    Admin,
}

impl Caller {
    /// # Errors
    /// 403, for what is the admin's alone.
    pub fn require_admin(&self) -> Result<(), Problem> {
        match self.role {
            Role::Admin => Ok(()),
            Role::Viewer | Role::Staff => Err(Problem::forbidden("this takes the role 'admin'")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let claim = |name: &str| match parts.extensions.get::<RequestContext>() {
            Some(RequestContext::ApiGatewayV2(context)) => {
                let authorizer = context.authorizer.as_ref()?;
                authorizer.jwt.as_ref()?.claims.get(name).cloned()
            }
            _ => None,
        };
        let (Some(claimed), Some(role)) = (claim("tenant"), claim("role")) else { return Err(Problem::unauthorized()) };
        let role = match role.as_str() {
            "viewer" => Role::Viewer,
            "staff" => Role::Staff,
            "admin" => Role::Admin,
            _ => return Err(Problem::forbidden("the token's role is none that we know")),
        };
        let path = RawPathParams::from_request_parts(parts, state).await.ok();
        let asked = path.as_ref().and_then(|path| path.iter().find(|(name, _)| *name == "tenant").map(|(_, tenant)| tenant));
        match TenantId::parse(&claimed) {
            Ok(tenant) if asked == Some(tenant.as_str()) => Ok(Self { tenant, role }),
            _ => Err(Problem::not_found("there is nothing at this path")),
        }
    }
}
