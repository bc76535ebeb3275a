//! `/templates`: what the tenant can send by a name, its versions, and how it would read.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::arrival::Arrival;
use super::listing::{self, Listing};
use super::preview::PreviewView;
use super::problem::{Problem, Refusals};
use super::request::Input;
use super::wishes::{ChannelChoice, Value, texts};
use crate::context::Context;
use crate::domain::catalogue::{self, Listed, TemplateSource, template_key};
use crate::domain::contact::Category;
use crate::domain::lint::{self, Text};
use crate::domain::reminder::Kind;
use crate::domain::samples::with_samples;
use crate::domain::segments::segments;
use crate::domain::template::{Draft, StoredTemplate, Written};
use crate::domain::tenant::{Settings, TenantId, Trade};
use crate::store::templates;
use crate::usecases::create_template::create_template;
use crate::usecases::delete_template::delete_template;
use crate::usecases::preview_template::{Look, preview_template};
use crate::usecases::replace_template::{ChangeError, replace_template};
use crate::usecases::rollback_template::rollback_template;

/// What `GET /templates` filters by.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TemplateFilter {
    category: Option<Category>,
    active: Option<bool>,
    /// Those of this trade, and those of none.
    trade: Option<Trade>,
    /// In the name and the description.
    search: Option<String>,
    #[param(maximum = 200, minimum = 1)]
    limit: Option<u32>,
    cursor: Option<String>,
}

/// A template to be stored.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplateRequest {
    /// 1 to 100 characters. `Order Ready`, `order-ready` and `order_ready` are one name. When replacing: another way
    /// to write it, or absent.
    pub name: Option<String>,
    pub category: Category,
    pub description: Option<String>,
    /// With `{variables}`, also as `{{variables}}`, and with defaults: `{customer_name|there}`.
    pub text: String,
    /// `true` when absent. An inactive template cannot be used.
    pub active: Option<bool>,
    /// The approved template of Twilio's that says the same over WhatsApp: `HX…`.
    pub content_sid: Option<String>,
    /// Which variables of the text fill its `{{1}}`, `{{2}}`, …
    pub content_variables: Option<Vec<String>>,
    /// For every trade when absent.
    pub trade: Option<Trade>,
    /// When replacing: only if this is still the present version, 0 as long as there is but ours.
    pub version: Option<u32>,
}

impl TemplateRequest {
    fn into_draft(self) -> Draft {
        Draft {
            name: self.name,
            category: self.category,
            description: self.description,
            text: self.text,
            active: self.active.unwrap_or(true),
            content_sid: self.content_sid,
            content_variables: self.content_variables.unwrap_or_default(),
            trade: self.trade,
        }
    }
}

/// A template, wherever it comes from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateView {
    name: String,
    category: Category,
    description: Option<String>,
    /// For every trade when absent.
    trade: Option<Trade>,
    source: TemplateSource,
    /// The type of message whose text it is: it is changed in the settings, at `types`.
    #[serde(rename = "type")]
    kind: Option<Kind>,
    text: String,
    /// In the order of the text.
    variables: Vec<TemplateVariable>,
    active: bool,
    /// 0 for what is not the tenant's own.
    version: u32,
    updated_at: Option<Timestamp>,
    updated_by: Option<String>,
    content_sid: Option<String>,
    content_variables: Vec<String>,
    /// The SMS segments of the text with samples for its variables.
    segments_with_samples: u32,
    /// What is to be said against the text with samples.
    warnings: Vec<TemplateWarning>,
}

/// A variable of a text.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateVariable {
    name: String,
    /// What stands for it when it has no value. Without one it needs a value.
    default: Option<String>,
}

/// Something to be said against a text. It can be sent all the same.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateWarning {
    /// Stable; for programs.
    #[schema(value_type = String)]
    code: &'static str,
    /// For people.
    #[schema(value_type = String)]
    text: &'static str,
}

impl TemplateView {
    fn of(listed: Listed, tenant: &TenantId, settings: &Settings, now: Timestamp) -> Self {
        let Listed { written: Written { template, description, trade }, source, kind, version, updated_at, updated_by } = listed;
        let body = with_samples(tenant, settings, &template.text, kind, now);
        let text = Text {
            body: &body,
            is_spoken: false,
            is_marketing: template.category == Category::Marketing,
            is_segmented: true,
            tenant_name: &settings.name,
        };
        let warnings = lint::warnings(&text).into_iter();
        let variable =
            |name: &str| TemplateVariable { name: name.to_string(), default: template.text.default_of(name).map(str::to_string) };
        Self {
            description,
            trade,
            source,
            kind,
            variables: template.text.variables().into_iter().map(variable).collect(),
            version,
            updated_at,
            updated_by,
            segments_with_samples: segments(&body),
            warnings: warnings.map(|warning| TemplateWarning { code: warning.code(), text: warning.text() }).collect(),
            text: template.text.into(),
            name: template.name,
            category: template.category,
            active: template.active,
            content_sid: template.content_sid,
            content_variables: template.content_variables,
        }
    }
}

/// A page of templates: the tenant's own and those of its trade first, then by name.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Templates {
    items: Vec<TemplateView>,
    next_cursor: Option<String>,
}

/// A version of a template. It never changes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateVersion {
    version: u32,
    updated_at: Timestamp,
    updated_by: Option<String>,
    /// The template was taken away; it says what it said before.
    deleted: bool,
    name: String,
    category: Category,
    description: Option<String>,
    trade: Option<Trade>,
    text: String,
    active: bool,
    content_sid: Option<String>,
    content_variables: Vec<String>,
}

impl TemplateVersion {
    fn of(stored: StoredTemplate) -> Self {
        let StoredTemplate { written: Written { template, description, trade }, version, updated_at, updated_by, deleted } =
            stored;
        Self {
            version,
            updated_at,
            updated_by,
            deleted,
            name: template.name,
            category: template.category,
            description,
            trade,
            text: template.text.into(),
            active: template.active,
            content_sid: template.content_sid,
            content_variables: template.content_variables,
        }
    }
}

/// A page of a template's versions, the latest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateVersions {
    items: Vec<TemplateVersion>,
    next_cursor: Option<String>,
}

/// Which version to bring back.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    pub version: u32,
}

/// How a template is to be looked at.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplatePreviewRequest {
    /// Samples stand for those that are missing.
    pub variables: Option<BTreeMap<String, Value>>,
    /// A number. Without one and without a contact: one of the tenant's own country.
    pub to: Option<String>,
    pub contact_id: Option<String>,
    pub channel: Option<ChannelChoice>,
    /// A text that is not stored yet, instead of the template's; the template need not exist then.
    pub text: Option<String>,
    /// The template's own when absent.
    pub category: Option<Category>,
}

/// A template as it would go.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplatePreviewView {
    #[serde(flatten)]
    preview: PreviewView,
    /// The variables that have no value, and what stands for them here. A message without them is refused.
    samples: BTreeMap<String, String>,
    /// Variables that were given and that the text does not have.
    unused: Vec<String>,
}

fn unknown() -> Problem {
    Problem::not_found("there is no template of this name")
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Invalid(errors) => Self::fields(errors),
            ChangeError::Exists => {
                Self::conflict("exists", "there is a template of this name: change that one with PUT, or take another name")
            }
            ChangeError::Changed => {
                Self::conflict("changed", "somebody else has changed this template: look at it again, then repeat")
            }
            ChangeError::Unknown => unknown(),
            ChangeError::NoVersion => Self::field("version", "unknown_version", "the template has no such version"),
            ChangeError::Deletion => {
                Self::field("version", "deletion", "this version says that the template was deleted: take the one before it")
            }
            ChangeError::OfType(kind) => Self::conflict(
                "read_only",
                format!("this is the text of a type of message: the settings have it, at types.{kind}"),
            ),
            ChangeError::Ours => {
                Self::conflict("default", "every tenant has this template: to switch it off, replace it with active: false")
            }
            ChangeError::Context(error) => error.into(),
        }
    }
}

/// The templates that the tenant can use: its own, ours, and the texts of its types of message.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/templates", operation_id = "list_templates", tag = "templates",
    params(("tenant" = String, Path), TemplateFilter),
    responses((status = 200, description = "As asked", body = Templates), Refusals)
)]
pub async fn list(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    filter: Result<Query<TemplateFilter>, QueryRejection>,
) -> Result<Json<Templates>, Problem> {
    let Query(filter) = filter.map_err(listing::bad_query)?;
    let limit = listing::limit(filter.limit)? as usize;
    let from = filter.cursor.as_deref().map(position).transpose()?.unwrap_or(0);
    let tenant = &caller.tenant;
    let settings = cx.settings(tenant, now).await?;
    let stored = templates::all(cx.table().await?, tenant).await?;
    let mut wanted = catalogue::list(&settings, stored);
    wanted.retain(|listed| filter.wants(listed));
    let next_cursor = (wanted.len() > from.saturating_add(limit)).then(|| listing::cursor((from + limit).to_string()));
    let page = wanted.into_iter().skip(from).take(limit);
    let items = page.map(|listed| TemplateView::of(listed, tenant, &settings, now)).collect();
    Ok(Json(Templates { items, next_cursor }))
}

impl TemplateFilter {
    fn wants(&self, listed: &Listed) -> bool {
        let Written { template, description, trade } = &listed.written;
        let is_found = |search: &String| {
            let text = search.trim().to_lowercase();
            let is_in = |place: &str| place.to_lowercase().contains(&text);
            is_in(&template.name)
                || template_key(&template.name).contains(&template_key(search))
                || description.as_deref().is_some_and(is_in)
        };
        self.category.is_none_or(|category| category == template.category)
            && self.active.is_none_or(|active| active == template.active)
            && self.trade.is_none_or(|wanted| trade.is_none_or(|trade| trade == wanted))
            && self.search.as_ref().is_none_or(is_found)
    }
}

/// How many come before a page.
fn position(cursor: &str) -> Result<usize, Problem> {
    listing::entry(cursor)?.parse().map_err(|_| listing::foreign())
}

/// Make a template. One of ours of the same name stands back for it. Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/templates", operation_id = "create_template", tag = "templates",
    params(("tenant" = String, Path)), request_body = TemplateRequest,
    responses((status = 201, description = "Stored", body = TemplateView), Refusals)
)]
pub async fn create(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Input(asked): Input<TemplateRequest>,
) -> Result<(StatusCode, Json<TemplateView>), Problem> {
    caller.require_staff()?;
    let stored = create_template(&cx, &caller.tenant, asked.into_draft(), caller.subject.as_deref(), now).await?;
    Ok((StatusCode::CREATED, view(&cx, &caller.tenant, stored, now).await?))
}

/// A template as it stands.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/templates/{name}", operation_id = "get_template", tag = "templates",
    params(("tenant" = String, Path), ("name" = String, Path, description = "Spaces may be written as `_` or `-`")),
    responses((status = 200, description = "As asked", body = TemplateView), Refusals)
)]
pub async fn get(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, name)): Path<(String, String)>,
) -> Result<Json<TemplateView>, Problem> {
    let settings = cx.settings(&caller.tenant, now).await?;
    let stored = templates::get(cx.table().await?, &caller.tenant, &name).await?;
    let listed = catalogue::find(&settings, &name, stored).ok_or_else(unknown)?;
    Ok(Json(TemplateView::of(listed, &caller.tenant, &settings, now)))
}

/// Write the next version of a template; of one of ours the first, which makes it the tenant's own. What says the
/// same already is left as it is. Takes the role `staff` or `admin`.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/templates/{name}", operation_id = "replace_template", tag = "templates",
    params(("tenant" = String, Path), ("name" = String, Path, description = "Spaces may be written as `_` or `-`")),
    request_body = TemplateRequest,
    responses((status = 200, description = "As it stands now", body = TemplateView), Refusals)
)]
pub async fn replace(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, name)): Path<(String, String)>,
    Input(asked): Input<TemplateRequest>,
) -> Result<Json<TemplateView>, Problem> {
    caller.require_staff()?;
    let (version, by) = (asked.version, caller.subject.as_deref());
    let stored = replace_template(&cx, &caller.tenant, &name, asked.into_draft(), version, by, now).await?;
    view(&cx, &caller.tenant, stored, now).await
}

/// Take a template of the tenant's away. Its versions stay, and can be brought back; one of ours of the same name
/// comes forward. Takes the role `staff` or `admin`.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/templates/{name}", operation_id = "delete_template", tag = "templates",
    params(("tenant" = String, Path), ("name" = String, Path, description = "Spaces may be written as `_` or `-`")),
    responses((status = 204, description = "It is gone"), Refusals)
)]
pub async fn delete(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    caller.require_staff()?;
    delete_template(&cx, &caller.tenant, &name, caller.subject.as_deref(), now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Every version of a template, the latest first: who wrote it, when, and what it said.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/templates/{name}/versions", operation_id = "list_template_versions", tag = "templates",
    params(("tenant" = String, Path), ("name" = String, Path), Listing),
    responses((status = 200, description = "As asked", body = TemplateVersions), Refusals)
)]
pub async fn versions(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, name)): Path<(String, String)>,
    page: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<TemplateVersions>, Problem> {
    let Query(page) = page.map_err(listing::bad_query)?;
    let limit = listing::limit(page.limit)?;
    let after = page.cursor.as_deref().map(version_after).transpose()?;
    let table = cx.table().await?;
    if templates::get(table, &caller.tenant, &name).await?.is_none() {
        let settings = cx.settings(&caller.tenant, now).await?;
        catalogue::find(&settings, &name, None).ok_or_else(unknown)?;
        return Ok(Json(TemplateVersions { items: Vec::new(), next_cursor: None }));
    }
    let (versions, next) = templates::versions(table, &caller.tenant, &name, after.as_deref(), limit).await?;
    let items = versions.into_iter().map(TemplateVersion::of).collect();
    Ok(Json(TemplateVersions { items, next_cursor: next.map(listing::cursor) }))
}

/// The place after which a page of versions begins.
fn version_after(cursor: &str) -> Result<String, Problem> {
    let place = listing::entry(cursor)?;
    if place.bytes().all(|b| b.is_ascii_digit()) { Ok(place) } else { Err(listing::foreign()) }
}

/// What a version of a template said.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/templates/{name}/versions/{version}", operation_id = "get_template_version",
    tag = "templates", params(("tenant" = String, Path), ("name" = String, Path), ("version" = u32, Path)),
    responses((status = 200, description = "As asked", body = TemplateVersion), Refusals)
)]
pub async fn version(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, name, version)): Path<(String, String, String)>,
) -> Result<Json<TemplateVersion>, Problem> {
    let no_version = || Problem::not_found("the template has no such version");
    let version: u32 = version.parse().map_err(|_| no_version())?;
    let stored = templates::version(cx.table().await?, &caller.tenant, &name, version).await?;
    Ok(Json(TemplateVersion::of(stored.ok_or_else(no_version)?)))
}

/// Bring back what a version said, as a new version; also after a deletion. Takes the role `staff` or `admin`.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/templates/{name}/rollback", operation_id = "rollback_template", tag = "templates",
    params(("tenant" = String, Path), ("name" = String, Path)), request_body = RollbackRequest,
    responses((status = 200, description = "As it stands now", body = TemplateView), Refusals)
)]
pub async fn rollback(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, name)): Path<(String, String)>,
    Input(asked): Input<RollbackRequest>,
) -> Result<Json<TemplateView>, Problem> {
    caller.require_staff()?;
    let by = caller.subject.as_deref();
    let stored = rollback_template(&cx, &caller.tenant, &name, asked.version, by, now).await?;
    view(&cx, &caller.tenant, stored, now).await
}

/// See a template before it goes to anybody: text, segments, cost, and what is to be said against it. Also for a
/// text that is not stored yet.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/templates/{name}/preview", operation_id = "preview_template", tag = "templates",
    params(("tenant" = String, Path), ("name" = String, Path)), request_body = TemplatePreviewRequest,
    responses((status = 200, description = "As asked", body = TemplatePreviewView), Refusals)
)]
pub async fn preview(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, name)): Path<(String, String)>,
    Input(asked): Input<TemplatePreviewRequest>,
) -> Result<Json<TemplatePreviewView>, Problem> {
    let look = Look {
        to: asked.to,
        contact_id: asked.contact_id,
        channels: asked.channel.map(ChannelChoice::channels).unwrap_or_default(),
        variables: texts(asked.variables),
        text: asked.text,
        category: asked.category,
    };
    let seen = preview_template(&cx, &caller.tenant, &name, look, now).await?.ok_or_else(unknown)?;
    Ok(Json(TemplatePreviewView { preview: PreviewView::of(seen.preview), samples: seen.samples, unused: seen.unused }))
}

/// A template that the tenant has just written.
async fn view(cx: &Context, tenant: &TenantId, stored: StoredTemplate, now: Timestamp) -> Result<Json<TemplateView>, Problem> {
    let settings = cx.settings(tenant, now).await?;
    Ok(Json(TemplateView::of(Listed::own(stored), tenant, &settings, now)))
}
