//! The answer to `GET /dashboard`: a page that shows the server's state and lets an operator act. The page holds no data itself;
//! it sends the same requests as any program, with the token when there is one.

use hyper::StatusCode;
use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

use super::answer::{self, Answer};

const PAGE: &str = include_str!("dashboard/index.html");
const STYLE: &str = include_str!("dashboard/style.css");
const ICON: &str = include_str!("dashboard/icon.svg");
const SCRIPTS: [(&str, &str); 7] = [
    ("/dashboard/main.js", include_str!("dashboard/main.js")),
    ("/dashboard/server.js", include_str!("dashboard/server.js")),
    ("/dashboard/chart.js", include_str!("dashboard/chart.js")),
    ("/dashboard/clients.js", include_str!("dashboard/clients.js")),
    ("/dashboard/groups.js", include_str!("dashboard/groups.js")),
    ("/dashboard/events.js", include_str!("dashboard/events.js")),
    ("/dashboard/words.js", include_str!("dashboard/words.js")),
];

/// The content security policy: the page loads nothing from elsewhere, and no other page may frame it to steal clicks.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn answer(path: &str) -> Option<Answer> {
    let (kind, content) = match path {
        "/" => return Some(to_the_page()),
        "/dashboard" => ("text/html; charset=utf-8", PAGE),
        "/dashboard/style.css" => ("text/css; charset=utf-8", STYLE),
        "/dashboard/icon.svg" => ("image/svg+xml", ICON),
        path => {
            let (_, script) = SCRIPTS.iter().find(|(name, _)| *name == path)?;
            ("text/javascript; charset=utf-8", *script)
        }
    };
    let mut answer = answer::answer(StatusCode::OK, kind, content.as_bytes().to_vec());
    let headers: [(HeaderName, &str); 3] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    answer.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    Some(answer)
}

fn to_the_page() -> Answer {
    let mut answer = answer::text(StatusCode::FOUND, "/dashboard\n");
    answer.headers_mut().insert(LOCATION, HeaderValue::from_static("/dashboard"));
    answer
}
