//! Websocket clients that others have written, OpenSSL, and the Autobahn test suite; each needs its programming language (`make
//! test-clients`).

mod autobahn;
mod openssl;
mod python_page;
mod real_clients;
