//! `/groups`: the groups that contacts are in, and who is in each. A group is there as long as somebody is in it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Caller;
use super::arrival::Arrival;
use super::contacts::{GROUP_FORM, may_be_group, missing, must_be_group, place};
use super::listing::{self, Listing};
use super::problem::{Problem, Refusals};
use crate::context::Context;
use crate::domain::contact::Contact;
use crate::store::contacts;
use crate::usecases::save_contact::save_contact;

/// Every group, by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupList {
    items: Vec<GroupView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct GroupView {
    name: String,
    /// How many are in it.
    members: u32,
}

/// A page of a group's members, by id.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberPage {
    items: Vec<MemberView>,
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct MemberView {
    id: String,
    name: String,
}

impl From<Contact> for MemberView {
    fn from(contact: Contact) -> Self {
        Self { id: contact.id, name: contact.name }
    }
}

/// The groups that anybody is in.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/groups", operation_id = "list_groups", tag = "groups",
    params(("tenant" = String, Path)), responses((status = 200, description = "As asked", body = GroupList), Refusals)
)]
pub async fn list(State(cx): State<Arc<Context>>, caller: Caller) -> Result<Json<GroupList>, Problem> {
    let groups = contacts::groups(cx.table().await?, &caller.tenant).await?;
    Ok(Json(GroupList { items: groups.into_iter().map(|(name, members)| GroupView { name, members }).collect() }))
}

/// Who is in a group.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/groups/{name}", operation_id = "get_group", tag = "groups",
    params(("tenant" = String, Path), ("name" = String, Path), Listing),
    responses((status = 200, description = "As asked", body = MemberPage), Refusals)
)]
pub async fn get(
    State(cx): State<Arc<Context>>,
    caller: Caller,
    Path((_, name)): Path<(String, String)>,
    listing: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<MemberPage>, Problem> {
    let Query(Listing { limit, cursor }) = listing.map_err(listing::bad_query)?;
    let limit = listing::limit(limit)?;
    let after = cursor.as_deref().map(place).transpose()?;
    must_be_group(&name)?;
    let (members, next) = contacts::of_group(cx.table().await?, &caller.tenant, &name, after.as_deref(), limit).await?;
    if members.is_empty() && after.is_none() && next.is_none() {
        return Err(Problem::not_found("nobody is in a group of this name"));
    }
    let items = members.into_iter().map(MemberView::from).collect();
    Ok(Json(MemberPage { items, next_cursor: next.map(listing::cursor) }))
}

/// Put a contact into a group, which need not be there yet. Takes the role `staff` or `admin`.
///
/// They get the reminders of the group's lessons from now on.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/groups/{name}/members/{contact}", operation_id = "put_group_member", tag = "groups",
    params(("tenant" = String, Path), ("name" = String, Path), ("contact" = String, Path)),
    responses((status = 200, description = "In the group", body = MemberView), Refusals)
)]
pub async fn put_member(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, name, contact)): Path<(String, String, String)>,
) -> Result<Json<MemberView>, Problem> {
    caller.require_staff()?;
    let join = |known: Option<&Contact>| {
        let mut contact = known.cloned().ok_or_else(missing)?;
        if !contact.groups.contains(&name) {
            if !may_be_group(&name) {
                return Err(Problem::field("name", "invalid", GROUP_FORM));
            }
            contact.groups.push(name.clone());
        }
        Ok(contact)
    };
    let saved = save_contact(&cx, &caller.tenant, &contact, join, now).await?;
    Ok(Json(saved.contact.into()))
}

/// Take a contact out of a group. Takes the role `staff` or `admin`.
///
/// What waits for them because of it does not go.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/groups/{name}/members/{contact}", operation_id = "delete_group_member", tag = "groups",
    params(("tenant" = String, Path), ("name" = String, Path), ("contact" = String, Path)),
    responses((status = 204, description = "Not in the group"), Refusals)
)]
pub async fn delete_member(
    State(cx): State<Arc<Context>>,
    Arrival(now): Arrival,
    caller: Caller,
    Path((_, name, contact)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    caller.require_staff()?;
    let leave = |known: Option<&Contact>| {
        let mut contact = known.cloned().ok_or_else(missing)?;
        if !contact.groups.contains(&name) {
            return Err(Problem::not_found("this contact is not in the group"));
        }
        contact.groups.retain(|group| *group != name);
        Ok(contact)
    };
    save_contact(&cx, &caller.tenant, &contact, leave, now).await?;
    Ok(StatusCode::NO_CONTENT)
}
