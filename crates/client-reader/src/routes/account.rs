//! The account itself: `/_matrix/client/v3/account/...`

mod deactivate;
mod password;
mod third_party_ids;

use ganglion_http_kit::Routes;
use http::Method;
use ruma::api::client::account::{
    add_3pid, bind_3pid, change_password, deactivate as deactivate_api, delete_3pid, get_3pids,
    request_3pid_management_token_via_email as manage_email,
    request_3pid_management_token_via_msisdn as manage_msisdn,
    request_password_change_token_via_email as password_email,
    request_password_change_token_via_msisdn as password_msisdn,
    request_registration_token_via_email as register_email,
    request_registration_token_via_msisdn as register_msisdn, unbind_3pid,
};

use crate::state::AppState;

pub(crate) fn routes(routes: &mut Routes<AppState>) {
    routes.ruma::<change_password::v3::Request, _, _>(password::post);
    routes.ruma::<deactivate_api::v3::Request, _, _>(deactivate::post);
    routes.ruma::<get_3pids::v3::Request, _, _>(third_party_ids::get);
    routes.ruma::<add_3pid::v3::Request, _, _>(third_party_ids::add);
    routes.ruma::<bind_3pid::v3::Request, _, _>(third_party_ids::bind::<bind_3pid::v3::Request>);
    routes
        .ruma::<delete_3pid::v3::Request, _, _>(third_party_ids::gone::<delete_3pid::v3::Request>);
    routes
        .ruma::<unbind_3pid::v3::Request, _, _>(third_party_ids::gone::<unbind_3pid::v3::Request>);
    for version in ["r0", "v3"] {
        let path = format!("/_matrix/client/{version}/account/3pid");
        routes.at(Method::POST, &path, third_party_ids::post);
    }
    routes.ruma::<manage_email::v3::Request, _, _>(
        third_party_ids::not_supported::<manage_email::v3::Request>,
    );
    routes.ruma::<manage_msisdn::v3::Request, _, _>(
        third_party_ids::not_supported::<manage_msisdn::v3::Request>,
    );
    routes.ruma::<register_email::v3::Request, _, _>(
        third_party_ids::denied::<register_email::v3::Request>,
    );
    routes.ruma::<register_msisdn::v3::Request, _, _>(
        third_party_ids::denied::<register_msisdn::v3::Request>,
    );
    routes.ruma::<password_email::v3::Request, _, _>(
        third_party_ids::not_found::<password_email::v3::Request>,
    );
    routes.ruma::<password_msisdn::v3::Request, _, _>(
        third_party_ids::not_found::<password_msisdn::v3::Request>,
    );
}
