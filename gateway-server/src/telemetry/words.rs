//! Helpers for messages to people: numbers with their nouns, and suggestions for misspelt names.

/// A number with its noun, such as `1 client` or `2 clients`.
pub fn counted(number: usize, noun: &str) -> String {
    format!("{number} {}", plural(number as u64, noun))
}

/// The noun in the form that follows the number.
pub fn plural(number: u64, noun: &str) -> String {
    format!("{noun}{}", if number == 1 { "" } else { "s" })
}

/// The known name that is most like `name`, if it is so similar that it may have been meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.7;
    let likeness = |known: &str| strsim::jaro_winkler(known, name);
    let nearest = known.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    nearest.filter(|nearest| likeness(nearest) > ALIKE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_near_when_little_is_wrong_with_it() {
        let known = ["max_message", "max_connections", "paths"];
        assert_eq!(nearest("max_conections", known), Some("max_connections"));
        assert_eq!((nearest("zzz", known), nearest("path", [])), (None, None));
    }

    #[test]
    fn one_is_singular() {
        let said = [0, 1, 2].map(|number| counted(number, "client"));
        assert_eq!(said, ["0 clients", "1 client", "2 clients"]);
    }
}
