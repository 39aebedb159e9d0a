//! Sorting. The standard library's sort is compiled anew for each type, 3 to 7 KB a time; here it is compiled once, for
//! places, and each type only moves its items there.

use std::cmp::Ordering;

/// Smallest first. Equal items stay in their order.
pub fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// By what `key` makes of an item.
pub fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |a, b| key(a).cmp(&key(b)));
}

pub fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut sources: Vec<usize> = (0..items.len()).collect();
    sort_places(&mut sources, &|a, b| compare(&items[a], &items[b]));
    arrange(items, &mut sources);
}

#[allow(clippy::disallowed_methods)]
#[inline(never)]
fn sort_places(places: &mut [usize], compare: &dyn Fn(usize, usize) -> Ordering) {
    places.sort_by(|a, b| compare(*a, *b));
}

/// Puts into place N what stands at `sources[N]`: one circle of places after the other.
fn arrange<T>(items: &mut [T], sources: &mut [usize]) {
    for start in 0..items.len() {
        let mut place = start;
        loop {
            let source = std::mem::replace(&mut sources[place], place);
            if source == start {
                break;
            }
            items.swap(place, source);
            place = source;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::*;

    #[test]
    fn every_order_of_five() {
        // The numbers 0 to 3124 in base 5: all orders, and all repetitions.
        for number in 0..3125_usize {
            let mut items: Vec<usize> = (0..5).map(|digit| number / 5_usize.pow(digit) % 5).collect();
            let all = items.clone();
            sort(&mut items);
            assert!(items.is_sorted(), "{all:?} became {items:?}");
            assert_eq!(items.iter().sum::<usize>(), all.iter().sum::<usize>(), "{all:?}");
        }
    }

    #[test]
    fn equal_items_stay_in_order() {
        let mut items = ["bb", "a", "cc", "d", "aa"].map(String::from);
        sort_by_key(&mut items, |text| Reverse(text.len()));
        assert_eq!(items, ["bb", "cc", "aa", "a", "d"]);
        sort_by(&mut items, |a, b| b.cmp(a));
        assert_eq!(items, ["d", "cc", "bb", "aa", "a"]);
        sort::<String>(&mut []);
    }
}
