"""Every word that a message is made of, in both languages side by side."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from easytracking_sync.settings import Language


class Text(NamedTuple):
    """The same in both languages, with the same placeholders."""

    english: str
    italian: str


TEXTS: Mapping[str, Text] = MappingProxyType(
    {
        # The login is refused.
        "credentials.headline": Text("login refused", "accesso rifiutato"),
        "credentials.about": Text(
            "{subject}: the service refuses the user name or the password. None of its invoices comes home.",
            "{subject}: il servizio rifiuta il nome utente o la password. Nessuna sua fattura viene scaricata.",
        ),
        "credentials.todo": Text(
            "mend the password in the configuration, or ask the vendor for another; the running service takes it up "
            "within a minute. `easytracking-sync check` tries it.",
            "correggere la password nella configurazione, o chiederne un'altra al fornitore; il servizio in "
            "esecuzione la riprende entro un minuto. `easytracking-sync check` la prova.",
        ),
        "credentials.ended": Text("{subject}: the login works again.", "{subject}: l'accesso funziona di nuovo."),
        # Every document is refused.
        "permission.headline": Text("permission lost", "permesso mancante"),
        "permission.about": Text(
            "{subject}: the service refuses every document that is asked for ({amount} in a row). They keep waiting, "
            "none counts as bad.",
            "{subject}: il servizio rifiuta ogni documento richiesto ({amount} di seguito). Restano in attesa, "
            "nessuno è considerato difettoso.",
        ),
        "permission.todo": Text(
            "ask the vendor to give this user its permission back. It is tried every hour; afterwards nothing is to "
            "be done here.",
            "chiedere al fornitore di ridare il permesso a questo utente. Si riprova ogni ora; poi qui non c'è altro "
            "da fare.",
        ),
        "permission.ended": Text(
            "{subject}: documents may be fetched again.",
            "{subject}: i documenti si possono scaricare di nuovo.",
        ),
        # The account's address is dead.
        "unreachable.headline": Text("address out of reach", "indirizzo irraggiungibile"),
        "unreachable.about": Text(
            "{subject}: nothing answers at its address any more; it is tried ever more seldom.{reason}",
            "{subject}: al suo indirizzo non risponde più nulla; si riprova sempre più di rado.{reason}",
        ),
        "unreachable.todo": Text(
            "`easytracking-sync check` tells whether it is the name, the network, the proxy or the certificate. "
            "What is mended is noticed by itself; a restart notices it at once.",
            "`easytracking-sync check` dice se è il nome, la rete, il proxy o il certificato. Ciò che viene corretto "
            "si nota da sé; con un riavvio subito.",
        ),
        "unreachable.ended": Text(
            "{subject}: its address answers again.", "{subject}: il suo indirizzo risponde di nuovo."
        ),
        # No listing succeeded for some intervals.
        "silent.headline": Text("no listing succeeds", "nessun elenco riesce"),
        "silent.about": Text(
            "{subject}: the list of its invoices has not come since {since}.{reason}",
            "{subject}: l'elenco delle sue fatture non arriva dal {since}.{reason}",
        ),
        "silent.todo": Text(
            "`easytracking-sync check` tells network, certificate, login and service apart. Where the vendor is "
            "down, wait: everything is fetched afterwards by itself.",
            "`easytracking-sync check` distingue rete, certificato, accesso e servizio. Se è fermo il fornitore, "
            "aspettare: poi tutto viene scaricato da sé.",
        ),
        "silent.ended": Text("{subject}: the list comes again.", "{subject}: l'elenco arriva di nuovo."),
        # Documents wait for too long.
        "backlog.headline": Text("documents wait", "documenti in attesa"),
        "backlog.about": Text(
            "{subject}: documents waiting: {amount}, the oldest since {since}.",
            "{subject}: documenti in attesa: {amount}, il più vecchio dal {since}.",
        ),
        "backlog.todo": Text(
            "`easytracking-sync status` shows where they stand, `easytracking-sync explain DOC` what one waits for.",
            "`easytracking-sync status` mostra a che punto sono, `easytracking-sync explain DOC` che cosa ne aspetta "
            "uno.",
        ),
        "backlog.ended": Text(
            "{subject}: no document waits that long any more.",
            "{subject}: nessun documento aspetta più così a lungo.",
        ),
        # Documents gave up.
        "quarantine.headline": Text("documents in quarantine", "documenti in quarantena"),
        "quarantine.about": Text(
            "{subject}: documents that no attempt brought home: {amount} ({documents}).",
            "{subject}: documenti che nessun tentativo ha portato a casa: {amount} ({documents}).",
        ),
        "quarantine.todo": Text(
            "`easytracking-sync quarantine list` says why. They are tried daily by themselves; `quarantine retry "
            "DOC` tries one now, `quarantine accept DOC --reason R` closes it.",
            "`easytracking-sync quarantine list` dice perché. Si ritentano da sé ogni giorno; `quarantine retry DOC` "
            "ne ritenta uno subito, `quarantine accept DOC --reason R` lo chiude.",
        ),
        "quarantine.ended": Text(
            "{subject}: nothing is in quarantine any more.",
            "{subject}: nulla è più in quarantena.",
        ),
        # Stored, but the service refuses the mark.
        "unacknowledgeable.headline": Text("marks refused", "conferme rifiutate"),
        "unacknowledgeable.about": Text(
            "{subject}: documents that are stored here, and whose mark the service refuses: {amount} ({documents}). "
            "None is lost.",
            "{subject}: documenti archiviati qui, la cui conferma il servizio rifiuta: {amount} ({documents}). "
            "Nessuno è perso.",
        ),
        "unacknowledgeable.todo": Text(
            "`easytracking-sync quarantine list` says why; it is tried daily. Ask the vendor, or close one with "
            "`quarantine accept DOC --reason R`.",
            "`easytracking-sync quarantine list` dice perché; si ritenta ogni giorno. Chiedere al fornitore, o "
            "chiuderne uno con `quarantine accept DOC --reason R`.",
        ),
        "unacknowledgeable.ended": Text(
            "{subject}: every stored document is marked.",
            "{subject}: ogni documento archiviato è confermato.",
        ),
        # Seconds that the service does not list.
        "gap.headline": Text("seconds not listed", "secondi non elencati"),
        "gap.about": Text(
            "{subject}: the service refuses or fails to list some seconds: {amount}. The rest is listed.",
            "{subject}: il servizio rifiuta o non riesce a elencare alcuni secondi: {amount}. Il resto è elencato.",
        ),
        "gap.todo": Text(
            "`easytracking-sync status` names them; they are tried again by themselves. Report them to the vendor.",
            "`easytracking-sync status` li indica; si ritentano da sé. Segnalarli al fornitore.",
        ),
        "gap.ended": Text("{subject}: every second is listed.", "{subject}: ogni secondo è elencato."),
        # A file was asked for in vain.
        "incomplete.headline": Text("files missing", "file mancanti"),
        "incomplete.about": Text(
            "{subject}: documents without a file that was asked for in vain: {amount} ({documents}). What came is "
            "stored.",
            "{subject}: documenti senza un file richiesto invano: {amount} ({documents}). Ciò che è arrivato è "
            "archiviato.",
        ),
        "incomplete.todo": Text(
            "`easytracking-sync invoices list --incomplete` shows them; ask the vendor for the files.",
            "`easytracking-sync invoices list --incomplete` li mostra; chiedere i file al fornitore.",
        ),
        "incomplete.ended": Text("{subject}: no file is missing any more.", "{subject}: non manca più alcun file."),
        # Other bytes, or other list fields, under an id.
        "changed.headline": Text("documents changed", "documenti cambiati"),
        "changed.about": Text(
            "{subject}: documents that changed under their id in the last 24 hours: {amount} ({documents}). Every "
            "version is kept.",
            "{subject}: documenti cambiati sotto lo stesso id nelle ultime 24 ore: {amount} ({documents}). Ogni "
            "versione è conservata.",
        ),
        "changed.todo": Text(
            "`easytracking-sync explain DOC` tells what changed, `invoices show DOC` lists the versions. Ask the "
            "sender or the vendor which of them is valid.",
            "`easytracking-sync explain DOC` dice che cosa è cambiato, `invoices show DOC` elenca le versioni. "
            "Chiedere al mittente o al fornitore quale sia valida.",
        ),
        "changed.ended": Text(
            "{subject}: no document changed in the last 24 hours.",
            "{subject}: nessun documento è cambiato nelle ultime 24 ore.",
        ),
        # Stored bytes were found damaged.
        "rotten.headline": Text("stored files damaged", "file archiviati danneggiati"),
        "rotten.about": Text(
            "{subject}: documents whose stored files were found damaged in the last 24 hours, and that are fetched "
            "again: {amount} ({documents}).",
            "{subject}: documenti i cui file archiviati sono risultati danneggiati nelle ultime 24 ore, e che si "
            "scaricano di nuovo: {amount} ({documents}).",
        ),
        "rotten.todo": Text(
            "see to the disk and to the last backup, then run `easytracking-sync scrub`.",
            "verificare il disco e l'ultima copia di sicurezza, poi eseguire `easytracking-sync scrub`.",
        ),
        "rotten.ended": Text(
            "{subject}: no damage was found in the last 24 hours.",
            "{subject}: nessun danno trovato nelle ultime 24 ore.",
        ),
        # A disk is nearly full.
        "disk.headline": Text("disk nearly full", "disco quasi pieno"),
        "disk.about": Text(
            "{subject}: {free} free. Below {least} nothing new is fetched.",
            "{subject}: {free} liberi. Sotto {least} non si scarica nulla di nuovo.",
        ),
        "disk.todo": Text(
            "free some space, or move the archive to a larger disk; what waits is then fetched by itself.",
            "liberare spazio, o spostare l'archivio su un disco più grande; ciò che aspetta arriva poi da sé.",
        ),
        "disk.ended": Text("There is room on the disk again.", "Sul disco c'è di nuovo spazio."),
        # What surrounds them.
        "title.began": Text("easytracking-sync: {headline}: {subjects}", "easytracking-sync: {headline}: {subjects}"),
        "title.grew": Text(
            "easytracking-sync: more of this: {headline}: {subjects}",
            "easytracking-sync: ancora di più: {headline}: {subjects}",
        ),
        "title.ended": Text(
            "easytracking-sync: over: {headline}: {subjects}",
            "easytracking-sync: risolto: {headline}: {subjects}",
        ),
        "what_to_do": Text("What to do: {todo}", "Che cosa fare: {todo}"),
        "and_more": Text("and {count} more", "e altri {count}"),
        "last_reason": Text(" The last reason: {reason}", " L'ultimo motivo: {reason}"),
        "footer": Text("{host}, {at}", "{host}, {at}"),
        "never": Text("never", "mai"),
        # News and the daily digest.
        "news.title": Text("easytracking-sync: new invoices: {count}", "easytracking-sync: nuove fatture: {count}"),
        "news.line": Text("{subject}, receiver {receiver}: {count}", "{subject}, destinatario {receiver}: {count}"),
        "news.unknown": Text("unknown", "sconosciuto"),
        "digest.title": Text(
            "easytracking-sync: since {since}: new {count}, waiting {waiting}, alarms {alarms}",
            "easytracking-sync: dal {since}: nuove {count}, in attesa {waiting}, allarmi {alarms}",
        ),
        "digest.line": Text(
            "{subject}: new {count}, waiting {waiting}, in quarantine {quarantined}, last listed {last}",
            "{subject}: nuove {count}, in attesa {waiting}, in quarantena {quarantined}, ultimo elenco {last}",
        ),
        "digest.quiet": Text(
            "Accounts with nothing new and nothing waiting: {count}",
            "Account senza novità e senza attese: {count}",
        ),
        "digest.alarms": Text("Alarms that stand:", "Allarmi in corso:"),
        "digest.well": Text("No alarm stands.", "Nessun allarme in corso."),
        # `alerts test`.
        "test.title": Text("easytracking-sync: a test", "easytracking-sync: una prova"),
        "test.body": Text(
            "This channel works: alarms about the invoices of Easy Tracking arrive here.",
            "Questo canale funziona: qui arrivano gli allarmi sulle fatture di Easy Tracking.",
        ),
    }
)

DAYS: Mapping[Language, str] = {Language.ENGLISH: "%Y-%m-%d %H:%M", Language.ITALIAN: "%d/%m/%Y %H:%M"}
"""How a moment is written."""


def text(key: str, language: Language, **values: object) -> str:
    """One text with its placeholders filled."""
    chosen = TEXTS[key].italian if language is Language.ITALIAN else TEXTS[key].english
    return chosen.format(**values)
