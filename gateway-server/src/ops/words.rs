//! Numbers with their nouns, for messages that people read.

/// `1 client`, `2 clients`.
pub fn counted(number: usize, noun: &str) -> String {
    format!("{number} {}", plural(number as u64, noun))
}

/// The noun as it stands behind that number.
pub fn plural(number: u64, noun: &str) -> String {
    format!("{noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        let said = [0, 1, 2].map(|number| counted(number, "client"));
        assert_eq!(said, ["0 clients", "1 client", "2 clients"]);
    }
}
