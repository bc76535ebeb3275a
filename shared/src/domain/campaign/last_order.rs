//! Who ordered last so long ago that they count as lapsed, by the column that says when (S2-15, S2-16).

use jiff::civil::Date;

use super::cells::shortened;
use super::dates::day;
use super::layout::{Layout, plain};
use super::{Excluded, Refusal};
use crate::domain::compose::FieldError;
use crate::domain::local_time::Zone;
use crate::domain::tenant::Settings;

/// The columns of the last order as [`plain`] has them, the best first (S2-16).
const LAST_ORDER: &[&str] = &[
    "lastorderdate",
    "dateoflastorder",
    "lastorder",
    "lastorderat",
    "lastorderon",
    "lastordered",
    "lastorderedat",
    "lastorderedon",
    "mostrecentorderdate",
    "mostrecentorder",
    "latestorderdate",
    "latestorder",
    "lastvisit",
    "lastvisitdate",
    "lastvisitat",
    "lastvisiton",
    "lastvisited",
    "lastvisitedat",
    "dateoflastvisit",
    "mostrecentvisit",
    "lastpurchase",
    "lastpurchasedate",
    "lastpurchaseat",
    "lastpurchaseon",
    "lastpurchased",
    "lastpurchasedat",
    "lastpurchasedon",
    "dateoflastpurchase",
    "mostrecentpurchase",
    "mostrecentpurchasedate",
    "lasttransaction",
    "lasttransactiondate",
    "lasttransactionat",
    "lasttransactionon",
    "lastsale",
    "lastsaledate",
    "lastbooking",
    "lastbookingdate",
    "lastreservation",
    "lastreservationdate",
    "lastappointment",
    "lastappointmentdate",
    "lastseen",
    "lastseenat",
    "lastseenon",
    // German.
    "letztebestellung",
    "letztesbestelldatum",
    "datumletztebestellung",
    "datumderletztenbestellung",
    "letzterauftrag",
    "letzterkauf",
    "letztereinkauf",
    "letzterbesuch",
    "letztebuchung",
    "letztereservierung",
    // French.
    "dernierecommande",
    "datedernierecommande",
    "datededernierecommande",
    "datedeladernierecommande",
    "dernierachat",
    "datedernierachat",
    "datedudernierachat",
    "dernierevisite",
    "datedernierevisite",
    "datedeladernierevisite",
    "dernierereservation",
    // Spanish; Italian and Portuguese share some.
    "ultimopedido",
    "fechaultimopedido",
    "fechadelultimopedido",
    "fechadeultimopedido",
    "ultimacompra",
    "fechaultimacompra",
    "fechadelaultimacompra",
    "fechadeultimacompra",
    "ultimavisita",
    "fechaultimavisita",
    "fechadelaultimavisita",
    "ultimareserva",
    // Italian.
    "ultimoordine",
    "dataultimoordine",
    "datadellultimoordine",
    "ultimoacquisto",
    "dataultimoacquisto",
    "datadellultimoacquisto",
    "dataultimavisita",
    "ultimaprenotazione",
    // Portuguese.
    "dataultimopedido",
    "datadoultimopedido",
    "ultimaencomenda",
    "dataultimacompra",
    "datadaultimacompra",
    "datadaultimavisita",
    // Dutch.
    "laatstebestelling",
    "datumlaatstebestelling",
    "laatstebesteldatum",
    "laatsteorder",
    "laatsteaankoop",
    "datumlaatsteaankoop",
    "laatstebezoek",
    "datumlaatstebezoek",
    "laatstereservering",
    "laatsteboeking",
];
/// From then on somebody counts as lapsed who ordered so many days ago (D11).
const LAPSED_AFTER_DAYS: u32 = 30;

/// Only those go whose last order is long enough ago (S2-15).
pub(super) struct Lapse {
    pub(super) column: usize,
    after_days: u32,
    today: Date,
    /// Whether `3/5/2026` is in March.
    is_american: bool,
}

/// Who lapsed is looked at if somebody asked for it, in days, or if they did not say and the file has the column.
///
/// # Errors
/// The file has no column of the last order, though somebody asked for those who lapsed.
pub(super) fn lapse(settings: &Settings, asked: Option<u32>, layout: &Layout, today: Date) -> Result<Option<Lapse>, FieldError> {
    let columns: Vec<String> = layout.columns.iter().map(|column| plain(column)).collect();
    let column = LAST_ORDER.iter().find_map(|key| columns.iter().position(|known| known.as_str() == *key));
    let after_days = match (asked, column) {
        (Some(0), _) | (None, None) => return Ok(None),
        (Some(days), _) => days,
        (None, Some(_)) => LAPSED_AFTER_DAYS,
    };
    let Some(column) = column else {
        let reason = "the file has no column of the last order: call it last_order_date, or leave lapsedAfterDays out";
        return Err(FieldError::new("lapsedAfterDays", "no_such_column", reason));
    };
    let is_american = String::from(settings.default_region.clone()) == "US";
    Ok(Some(Lapse { column, after_days, today, is_american }))
}

impl Lapse {
    /// What the last order speaks against, by the day of it that is written in a row.
    pub(super) fn refusal(&self, written: &str, zone: &Zone) -> Option<Refusal> {
        if written.is_empty() {
            return Some(Refusal::new(Excluded::UnknownDate, "no date of the last order"));
        }
        let Some(day) = day(written, self.is_american, zone, self.today) else {
            let detail = format!("'{}' is no date such as 2026-11-24", shortened(written));
            return Some(Refusal::new(Excluded::UnknownDate, detail));
        };
        let ago = (self.today - day).get_days();
        let is_lapsed = i64::from(ago) >= i64::from(self.after_days);
        (!is_lapsed).then(|| Refusal::new(Excluded::NotLapsed, format!("last order on {day}")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::layout::{TextEncoding, Whom};
    use super::super::pizza_palace as settings;
    use super::*;
    use crate::domain::contact::attribute_key;

    const TODAY: Date = Date::constant(2026, 11, 24);

    fn layout(columns: &[&str]) -> Layout {
        let columns = columns.iter().map(|name| attribute_key(name)).collect();
        Layout { encoding: TextEncoding::Bytes, delimiter: b',', columns, whom: Whom::Number(0) }
    }

    #[test]
    fn who_lapsed_is_asked_for_or_not() {
        let settings = settings();
        let file = |days: Option<u32>, columns: &[&str]| {
            let lapse = lapse(&settings, days, &layout(columns), TODAY)?;
            let read = |date: &str| {
                let refusal = lapse.as_ref().and_then(|lapse| lapse.refusal(date, &settings.time_zone));
                refusal.map(|refusal| refusal.why)
            };
            Ok::<_, FieldError>([read("2026-11-24"), read("2026-11-25"), read("2026-08-26"), read("45231")])
        };
        let (late, unknown) = (Some(Excluded::NotLapsed), Some(Excluded::UnknownDate));

        assert_eq!(file(None, &["phone", "Last Visit"]).unwrap(), [late, late, None, unknown]);
        assert_eq!(file(Some(90), &["phone", "last_order"]).unwrap(), [late, late, None, unknown]);
        assert_eq!(file(Some(91), &["phone", "last_order"]).unwrap(), [late, late, late, unknown]);
        assert_eq!(file(Some(0), &["phone", "last_order"]).unwrap(), [None; 4]);
        assert_eq!(file(None, &["phone", "birthday"]).unwrap(), [None; 4]);
        let error = file(Some(30), &["phone", "birthday"]).unwrap_err();
        assert_eq!((error.field.as_str(), error.code.as_str()), ("lapsedAfterDays", "no_such_column"));
    }

    #[test]
    fn the_last_order_is_found_in_many_languages() {
        let settings = settings();
        let found = |column: &str| {
            let lapse = lapse(&settings, None, &layout(&["phone", column]), TODAY).unwrap();
            lapse.map(|lapse| lapse.column)
        };
        for column in [
            "last_order_on",
            "Last Transaction",
            "last_seen_at",
            "Most Recent Order",
            "last_purchased_at",
            "Letzte Bestellung",
            "Date de la dernière commande",
            "Última compra",
            "Data dell'ultimo ordine",
            "Data do último pedido",
            "Laatste bestelling",
        ] {
            assert_eq!(found(column), Some(1), "{column}");
        }
        for vague in ["order_date", "date", "last order id", "birthday"] {
            assert_eq!(found(vague), None, "{vague}");
        }
        assert!(LAST_ORDER.iter().all(|name| plain(name) == *name));
    }
}
