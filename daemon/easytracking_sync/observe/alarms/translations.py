"""The texts of all messages, in English and Italian."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from easytracking_sync.settings import Language


class Text(NamedTuple):
    """One text in both languages, with the same placeholders."""

    english: str
    italian: str


TEXTS: Mapping[str, Text] = MappingProxyType(
    {
        # The login is refused.
        "credentials.headline": Text("login refused", "accesso rifiutato"),
        "credentials.about": Text(
            "{subject}: the service refuses the user name or the password. No invoices of this account are fetched.",
            "{subject}: il servizio rifiuta il nome utente o la password. Le fatture di questo account non vengono "
            "scaricate.",
        ),
        "credentials.todo": Text(
            "correct the password in the configuration, or ask the vendor for a new one; the running service uses it "
            "within a minute. `easytracking-sync check` tests it.",
            "correggere la password nella configurazione o chiederne una nuova al fornitore; il servizio in "
            "esecuzione la usa entro un minuto. `easytracking-sync check` la verifica.",
        ),
        "credentials.ended": Text("{subject}: the login works again.", "{subject}: l'accesso funziona di nuovo."),
        # Every document is refused.
        "permission.headline": Text("permission lost", "autorizzazione mancante"),
        "permission.about": Text(
            "{subject}: the service refuses every requested document ({amount} in a row). The documents wait; these "
            "attempts do not count.",
            "{subject}: il servizio rifiuta ogni documento richiesto ({amount} di seguito). I documenti restano in "
            "attesa; questi tentativi non vengono conteggiati.",
        ),
        "permission.todo": Text(
            "ask the vendor to restore the permission of this user. The program tries again every hour; nothing else "
            "is necessary.",
            "chiedere al fornitore di ripristinare l'autorizzazione di questo utente. Il programma riprova ogni ora; "
            "non serve altro.",
        ),
        "permission.ended": Text(
            "{subject}: documents can be fetched again.",
            "{subject}: è di nuovo possibile scaricare i documenti.",
        ),
        # The account's address is dead.
        "unreachable.headline": Text("address unreachable", "indirizzo irraggiungibile"),
        "unreachable.about": Text(
            "{subject}: no connection to its address; the program tries again after growing pauses.{reason}",
            "{subject}: nessuna connessione al suo indirizzo; il programma riprova a intervalli crescenti.{reason}",
        ),
        "unreachable.todo": Text(
            "run `easytracking-sync check`: it tells whether the name, the network, the proxy or the certificate is "
            "the cause. The service notices by itself when the connection works again, after a restart at once.",
            "eseguire `easytracking-sync check`: indica se la causa è il nome, la rete, il proxy o il certificato. "
            "Il servizio rileva da solo il ripristino della connessione; con un riavvio, subito.",
        ),
        "unreachable.ended": Text(
            "{subject}: its address answers again.", "{subject}: il suo indirizzo risponde di nuovo."
        ),
        # No listing succeeded for some intervals.
        "silent.headline": Text("cannot list documents", "elenco dei documenti non disponibile"),
        "silent.about": Text(
            "{subject}: its documents have not been listed since {since}.{reason}",
            "{subject}: l'elenco dei suoi documenti non è disponibile dal {since}.{reason}",
        ),
        "silent.todo": Text(
            "run `easytracking-sync check`: it tests network, certificate, login and service. If the vendor's "
            "service is down, wait: everything is fetched later automatically.",
            "eseguire `easytracking-sync check`: verifica rete, certificato, accesso e servizio. Se il servizio del "
            "fornitore è fermo, attendere: in seguito tutto viene scaricato automaticamente.",
        ),
        "silent.ended": Text(
            "{subject}: documents are listed again.", "{subject}: l'elenco dei documenti è di nuovo disponibile."
        ),
        # Documents wait for too long.
        "backlog.headline": Text("documents waiting", "documenti in attesa"),
        "backlog.about": Text(
            "{subject}: documents waiting: {amount}, the oldest since {since}.",
            "{subject}: documenti in attesa: {amount}, il più vecchio dal {since}.",
        ),
        "backlog.todo": Text(
            "run `easytracking-sync status` for an overview, `easytracking-sync explain DOC` for one document.",
            "eseguire `easytracking-sync status` per il riepilogo, `easytracking-sync explain DOC` per un singolo "
            "documento.",
        ),
        "backlog.ended": Text(
            "{subject}: no document waits for too long any more.",
            "{subject}: nessun documento è più in attesa da troppo tempo.",
        ),
        # Documents gave up.
        "quarantine.headline": Text("documents in quarantine", "documenti in quarantena"),
        "quarantine.about": Text(
            "{subject}: documents that could not be fetched in all attempts: {amount} ({documents}).",
            "{subject}: documenti non scaricati dopo tutti i tentativi: {amount} ({documents}).",
        ),
        "quarantine.todo": Text(
            "run `easytracking-sync quarantine list` for the reasons. The program tries again daily; `quarantine "
            "retry DOC` tries one now, `quarantine accept DOC --reason R` closes it.",
            "eseguire `easytracking-sync quarantine list` per i motivi. Il programma riprova ogni giorno; "
            "`quarantine retry DOC` ne riprova uno subito, `quarantine accept DOC --reason R` lo chiude.",
        ),
        "quarantine.ended": Text(
            "{subject}: no document is in quarantine any more.",
            "{subject}: nessun documento è più in quarantena.",
        ),
        # Stored, but the service refuses the mark.
        "unacknowledgeable.headline": Text("acknowledgements refused", "conferme rifiutate"),
        "unacknowledgeable.about": Text(
            "{subject}: stored documents whose acknowledgement the service refuses: {amount} ({documents}). None is "
            "lost.",
            "{subject}: documenti archiviati di cui il servizio rifiuta la conferma: {amount} ({documents}). Nessuno "
            "è perso.",
        ),
        "unacknowledgeable.todo": Text(
            "run `easytracking-sync quarantine list` for the reasons; the program tries again daily. Ask the vendor, "
            "or close one with `quarantine accept DOC --reason R`.",
            "eseguire `easytracking-sync quarantine list` per i motivi; il programma riprova ogni giorno. Rivolgersi "
            "al fornitore, o chiuderne uno con `quarantine accept DOC --reason R`.",
        ),
        "unacknowledgeable.ended": Text(
            "{subject}: every stored document is acknowledged.",
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
            "{subject}: documents that lack a requested file: {amount} ({documents}). Their other files are stored.",
            "{subject}: documenti privi di un file richiesto: {amount} ({documents}). Gli altri file sono "
            "archiviati.",
        ),
        "incomplete.todo": Text(
            "run `easytracking-sync invoices list --incomplete`, and ask the vendor for the files.",
            "eseguire `easytracking-sync invoices list --incomplete` e chiedere i file al fornitore.",
        ),
        "incomplete.ended": Text("{subject}: no file is missing any more.", "{subject}: non manca più alcun file."),
        # Other bytes, or other list fields, under an id.
        "changed.headline": Text("documents changed", "documenti cambiati"),
        "changed.about": Text(
            "{subject}: documents that changed, with the same id, in the last 24 hours: {amount} ({documents}). "
            "Every version is kept.",
            "{subject}: documenti cambiati, con lo stesso id, nelle ultime 24 ore: {amount} ({documents}). Ogni "
            "versione è conservata.",
        ),
        "changed.todo": Text(
            "run `easytracking-sync explain DOC` to see what changed, `invoices show DOC` for the versions. Ask the "
            "sender or the vendor which version is valid.",
            "eseguire `easytracking-sync explain DOC` per vedere che cosa è cambiato, `invoices show DOC` per le "
            "versioni. Chiedere al mittente o al fornitore quale versione sia valida.",
        ),
        "changed.ended": Text(
            "{subject}: no document changed in the last 24 hours.",
            "{subject}: nessun documento è cambiato nelle ultime 24 ore.",
        ),
        # Stored bytes were found damaged.
        "rotten.headline": Text("stored files damaged", "file archiviati danneggiati"),
        "rotten.about": Text(
            "{subject}: documents with stored files that were found damaged in the last 24 hours: {amount} "
            "({documents}). They are fetched again.",
            "{subject}: documenti con file archiviati risultati danneggiati nelle ultime 24 ore: {amount} "
            "({documents}). Vengono scaricati di nuovo.",
        ),
        "rotten.todo": Text(
            "check the disk and the last backup, then run `easytracking-sync scrub`.",
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
            "{subject}: {free} liberi. Sotto {least} non vengono scaricati nuovi documenti.",
        ),
        "disk.todo": Text(
            "free some space, or move the archive to a larger disk; fetching then resumes by itself.",
            "liberare spazio o spostare l'archivio su un disco più grande; lo scaricamento riprende da solo.",
        ),
        "disk.ended": Text("The disk has enough free space again.", "Il disco ha di nuovo spazio sufficiente."),
        # What surrounds them.
        "title.began": Text("easytracking-sync: {headline}: {subjects}", "easytracking-sync: {headline}: {subjects}"),
        "title.grew": Text(
            "easytracking-sync: worse: {headline}: {subjects}",
            "easytracking-sync: in aumento: {headline}: {subjects}",
        ),
        "title.ended": Text(
            "easytracking-sync: resolved: {headline}: {subjects}",
            "easytracking-sync: risolto: {headline}: {subjects}",
        ),
        "what_to_do": Text("What to do: {todo}", "Che cosa fare: {todo}"),
        "and_more": Text("and {count} more", "e altri {count}"),
        "last_reason": Text(" Last reason: {reason}", " Ultimo motivo: {reason}"),
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
            "Accounts without new or waiting documents: {count}",
            "Account senza documenti nuovi o in attesa: {count}",
        ),
        "digest.alarms": Text("Active alarms:", "Allarmi in corso:"),
        "digest.well": Text("No active alarms.", "Nessun allarme in corso."),
        # `alerts test`.
        "test.title": Text("easytracking-sync: test message", "easytracking-sync: messaggio di prova"),
        "test.body": Text(
            "This channel works. It receives the alarms about the invoices of Easy Tracking.",
            "Questo canale funziona. Qui arrivano gli allarmi sulle fatture di Easy Tracking.",
        ),
    }
)

DAYS: Mapping[Language, str] = {Language.ENGLISH: "%Y-%m-%d %H:%M", Language.ITALIAN: "%d/%m/%Y %H:%M"}
"""The format of dates and times."""


def text(key: str, language: Language, **values: object) -> str:
    """One text with its placeholders filled."""
    chosen = TEXTS[key].italian if language is Language.ITALIAN else TEXTS[key].english
    return chosen.format(**values)
