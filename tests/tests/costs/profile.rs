//! A profile of callgrind: how many instructions the server's own code has run, and how often memory was allocated.

/// The functions of libc by which the server gets memory.
const ALLOCATIONS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

#[derive(Default)]
pub(crate) struct Profile {
    /// The instructions of the program itself. Those of libc are left out, as other machines have another.
    pub(crate) instructions: u64,
    pub(crate) allocations: u64,
}

impl Profile {
    /// Reads a profile whose names and positions are not compressed. `program` is the path of the profiled one.
    pub(crate) fn read(text: &str, program: &str) -> Self {
        let mut profile = Self::default();
        let (mut is_own, mut is_call, mut called) = (false, false, "");
        for line in text.lines() {
            if let Some(object) = line.strip_prefix("ob=") {
                is_own = object == program;
            } else if let Some(function) = line.strip_prefix("cfn=") {
                called = function;
            } else if let Some(calls) = line.strip_prefix("calls=") {
                is_call = true;
                if is_own && ALLOCATIONS.contains(&called) {
                    profile.allocations += number(calls.split(' ').next());
                }
            } else if line.starts_with(|first: char| first.is_ascii_digit()) {
                // The line behind a call has the instructions of the called function, which stand with that, too.
                if is_own && !is_call {
                    profile.instructions += number(line.split(' ').next_back());
                }
                is_call = false;
            }
        }
        profile
    }
}

fn number(word: Option<&str>) -> u64 {
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}

#[test]
fn a_call_counts_where_its_instructions_stand() {
    let text = "ob=/server\nfn=turn\n0 100\ncob=/libc\ncfn=malloc\ncalls=3 0\n0 90\n12 5\n\nob=/libc\nfn=malloc\n0 90\n\
        cfn=malloc\ncalls=9 0\n0 1\n\nob=/server\nfn=other\n0 7\n\ntotals: 202\n";
    let profile = Profile::read(text, "/server");
    assert_eq!((profile.instructions, profile.allocations), (112, 3));
}
