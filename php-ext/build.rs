fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // PHP may unload the extension while an I/O thread still runs its code.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
}
