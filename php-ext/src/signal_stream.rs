//! Streams of PHP that become readable when something has happened, for `stream_select()` and event loops.

use std::ffi::{c_char, c_int};
use std::mem::transmute;
use std::os::fd::IntoRawFd as _;
use std::os::unix::net::UnixStream;
use std::ptr;

use ext_php_rs::PHP_DEBUG;
use ext_php_rs::ffi::php_stream;
use ext_php_rs::types::Zval;

use crate::errors::Failure;
use crate::sys;

type Open = unsafe extern "C" fn(c_int, *const c_char) -> *mut php_stream;
/// A PHP that is built to be debugged is told where streams are opened: how deep in calls, and twice a file and a line.
type OpenInDebug = unsafe extern "C" fn(
    c_int,
    *const c_char,
    c_int,
    *const c_char,
    u32,
    *const c_char,
    u32,
) -> *mut php_stream;

/// Makes a stream of PHP's that owns the socket.
pub(crate) fn of_socket(socket: UnixStream) -> Result<Zval, Failure> {
    let fd = socket.into_raw_fd();
    let open: unsafe extern "C" fn() = sys::_php_stream_sock_open_from_socket;
    // SAFETY: the function is of the one type or of the other, as PHP was built. It takes the descriptor, and no name under which
    // the stream would outlive the request.
    let stream = unsafe {
        if PHP_DEBUG {
            let file = c"signal_stream.rs".as_ptr();
            transmute::<unsafe extern "C" fn(), OpenInDebug>(open)(
                fd,
                ptr::null(),
                0,
                file,
                0,
                ptr::null(),
                0,
            )
        } else {
            transmute::<unsafe extern "C" fn(), Open>(open)(fd, ptr::null())
        }
    };
    // SAFETY: the pointer is null, or leads to the new stream.
    let Some(stream) = (unsafe { stream.as_mut() }) else {
        return Err(Failure::other("PHP made no stream of a socket".to_owned()));
    };
    // PHP marks every stream that a program has, and takes others for forgotten ones.
    stream.set___exposed(1);
    let mut value = Zval::new();
    // SAFETY: the stream's resource is live, and its one reference goes to the value.
    unsafe { value.set_resource(stream.res) };
    Ok(value)
}
