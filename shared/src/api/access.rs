//! Who calls: the claims that API Gateway's authorizer has verified. Another tenant's anything is 404.
//!
//! A tenant's people are [`Caller`]s, the platform's [`Platform`]; no token is both.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams};
use axum::http::request::Parts;
use lambda_http::request::RequestContext;

use super::arrival::Arrival;
use super::audit::{Noted, Who};
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

/// The platform's own people: they make tenants, suspend and delete them, and see nothing that is a tenant's.
#[derive(Clone, Debug)]
pub struct Platform {
    pub subject: Option<String>,
    noted: Option<Noted>,
}

/// The role of the platform's people. It is no tenant's, so it is none of [`Role`].
const PLATFORM: &str = "platform";

impl Role {
    fn parse(word: &str) -> Option<Self> {
        [Self::Viewer, Self::Staff, Self::Admin].into_iter().find(|role| role.word() == word)
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Staff => "staff",
            Self::Admin => "admin",
        }
    }
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

impl Platform {
    /// Whom the request is about: the trail of that tenant tells of it.
    pub fn concerns(&self, tenant: &TenantId) {
        if let Some(noted) = &self.noted {
            noted.note(Who { tenant: tenant.clone(), role: PLATFORM, subject: self.subject.clone() });
        }
    }
}

/// What the gateway's authorizer has verified.
struct Claims {
    tenant: Option<String>,
    role: Option<String>,
    subject: Option<String>,
}

fn claims(parts: &Parts) -> Claims {
    let claims = match parts.extensions.get::<RequestContext>() {
        Some(RequestContext::ApiGatewayV2(context)) => {
            context.authorizer.as_ref().and_then(|authorizer| authorizer.jwt.as_ref()).map(|jwt| &jwt.claims)
        }
        _ => None,
    };
    let claim = |name: &str| claims.and_then(|claims| claims.get(name).cloned());
    Claims { tenant: claim("tenant"), role: claim("role"), subject: claim("sub") }
}

/// The tenant of the path.
async fn asked_tenant(parts: &mut Parts) -> Option<String> {
    let path = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    path.iter().find(|(name, _)| *name == "tenant").map(|(_, tenant)| tenant.to_string())
}

fn nothing() -> Problem {
    Problem::not_found("there is nothing at this path")
}

fn unknown_role() -> Problem {
    Problem::forbidden("the token's role is none that we know")
}

/// What a suspended tenant's people may do beside reading: what they owe to others, whatever they owe the platform.
const OWED: [(&str, &str); 3] = [
    ("POST", "/v1/tenants/{tenant}/opt-outs"),
    ("POST", "/v1/tenants/{tenant}/opt-outs/opt-in"),
    ("DELETE", "/v1/tenants/{tenant}/contacts/{id}"),
];

fn is_open_to_suspended(parts: &Parts) -> bool {
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    parts.method.is_safe() || OWED.contains(&(parts.method.as_str(), route))
}

impl FromRequestParts<Arc<Context>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<Context>) -> Result<Self, Problem> {
        let Claims { tenant: claimed, role, subject } = claims(parts);
        let role = role.ok_or_else(Problem::unauthorized)?;
        // To the platform's people a tenant's things are another tenant's.
        if role == PLATFORM {
            return Err(nothing());
        }
        let claimed = claimed.ok_or_else(Problem::unauthorized)?;
        let role = Role::parse(&role).ok_or_else(unknown_role)?;
        let asked = asked_tenant(parts).await;
        let tenant = match TenantId::parse(&claimed) {
            Ok(tenant) if asked.as_deref() == Some(tenant.as_str()) => tenant,
            _ => return Err(nothing()),
        };
        let Ok(Arrival(now)) = Arrival::from_request_parts(parts, state).await;
        if let Err(at) = limit_requests(state, &tenant, now).await? {
            return Err(Problem::too_many_requests(at, now));
        }
        if let Some(noted) = parts.extensions.get::<Noted>() {
            noted.note(Who { tenant: tenant.clone(), role: role.word(), subject: subject.clone() });
        }
        // Other processes notice it within the minute that they believe settings for.
        if state.settings(&tenant, now).await?.suspended && !is_open_to_suspended(parts) {
            return Err(Problem::suspended());
        }
        Ok(Self { tenant, role, subject })
    }
}

impl FromRequestParts<Arc<Context>> for Platform {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Context>) -> Result<Self, Problem> {
        let Claims { tenant: claimed, role, subject } = claims(parts);
        let role = role.ok_or_else(Problem::unauthorized)?;
        if role == PLATFORM {
            return Ok(Self { subject, noted: parts.extensions.get::<Noted>().cloned() });
        }
        match asked_tenant(parts).await {
            // A tenant's own people may know that it is there; of another they learn nothing.
            Some(asked) if claimed.as_ref() != Some(&asked) => Err(nothing()),
            _ if Role::parse(&role).is_none() => Err(unknown_role()),
            _ => Err(Problem::forbidden("this takes the role 'platform'")),
        }
    }
}
