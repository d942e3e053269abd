//! Errors of the API: a status, a stable code for programs, a message for people that says what to change.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An answer that is not the one asked for: `{"error": {"code": "...", "message": "..."}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: &'static str,
    /// For people: what to change.
    pub message: String,
}

impl ApiError {
    /// The request cannot be understood.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { status: StatusCode::BAD_REQUEST, code, message: message.into() }
    }

    /// Too much is waiting.
    pub fn busy(what: &str) -> ApiError {
        let message = format!("{what}; try again in a second, or at another node");
        ApiError { status: StatusCode::TOO_MANY_REQUESTS, code: "busy", message }
    }

    /// There is no such thing.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { status: StatusCode::NOT_FOUND, code, message: message.into() }
    }

    /// The body is larger than the limit.
    pub fn too_large(max: usize) -> ApiError {
        let message = format!("the body is larger than {max} bytes; send fewer commands in one request");
        ApiError { status: StatusCode::PAYLOAD_TOO_LARGE, code: "body_too_large", message }
    }

    /// The body did not arrive in time.
    pub fn slow_body() -> ApiError {
        let message = "the body did not arrive in time; send it without pauses".into();
        ApiError { status: StatusCode::REQUEST_TIMEOUT, code: "body_too_slow", message }
    }

    /// A token is needed.
    pub fn unauthorized() -> ApiError {
        let message = "reading needs a token; send the header `Authorization: Bearer <token>` with one of the node's \
                       read tokens"
            .into();
        ApiError { status: StatusCode::UNAUTHORIZED, code: "token_needed", message }
    }

    /// The node cannot answer now.
    pub fn unavailable(message: impl Into<String>) -> ApiError {
        ApiError { status: StatusCode::SERVICE_UNAVAILABLE, code: "unavailable", message: message.into() }
    }
}

impl ApiError {
    /// The response, with one more field beside the error.
    pub fn into_response_with(self, field: &str, value: Value) -> Response {
        let mut body = json!({ "error": { "code": self.code, "message": self.message } });
        body[field] = value;
        self.respond(body)
    }

    fn respond(self, body: Value) -> Response {
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        self.respond(body)
    }
}

/// For paths that do not exist.
pub async fn not_found(uri: Uri) -> ApiError {
    ApiError::not_found("no_such_path", format!("there is no {}; docs/http.md lists all paths", uri.path()))
}

/// For paths that exist, with another method.
pub async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}; docs/http.md names the method", uri.path());
    ApiError { status: StatusCode::METHOD_NOT_ALLOWED, code: "wrong_method", message }
}
