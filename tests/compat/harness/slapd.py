"""A real directory: Debian's slapd on a free port of its own, with people and groups."""

import shutil
import socket
import subprocess
from pathlib import Path

from harness.programs import Program, clean_environment, free_port, left_out, wait_until

BASE = "dc=example,dc=org"
PEOPLE, GROUPS = f"ou=people,{BASE}", f"ou=groups,{BASE}"
READER, READER_PASSWORD = f"cn=doorward,{BASE}", "the reader's own: # secret"
ROOT, ROOT_PASSWORD = f"cn=root,{BASE}", "the tests alone know this"
SCHEMAS = Path("/etc/ldap/schema")
#: Names with everything that has a meaning in a filter or a name.
PERSONS = {
    "ann": "ann's password 1",
    "bob": "bob's password 1",
    "star*)(uid=*": "a password of stars",
    "admin": "no administrator here",
    "carl": "carl's password 1",
}


class Slapd:
    """`ldap://127.0.0.1:PORT`, which takes binds by StartTLS alone, under a certificate of its own."""

    def __init__(self, home: Path) -> None:
        binary = shutil.which("slapd") or (Path("/usr/sbin/slapd") if Path("/usr/sbin/slapd").exists() else None)
        if binary is None or not SCHEMAS.is_dir():
            raise left_out("slapd is not installed, so nobody is looked up in a directory")
        home.mkdir(parents=True, exist_ok=True)
        self.port, self.certificate = free_port(), home / "slapd.pem"
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2"]
        names = ["-subj", "/CN=slapd", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run([*make, *names, "-keyout", home / "slapd.key", "-out", self.certificate], check=True, capture_output=True, timeout=30)
        (home / "data").mkdir()
        schemas = "".join(f"include {SCHEMAS}/{name}.schema\n" for name in ("core", "cosine", "inetorgperson"))
        (home / "slapd.conf").write_text(
            f"""{schemas}
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {self.certificate}
TLSCertificateKeyFile {home}/slapd.key
# Nobody shows a password in the clear.
security simple_bind=128
pidfile {home}/slapd.pid
database mdb
maxsize 16777216
suffix "{BASE}"
directory {home}/data
rootdn "{ROOT}"
rootpw "{ROOT_PASSWORD}"
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{READER}" read by self read by * none
"""
        )
        ldif = home / "people.ldif"
        ldif.write_text(self._entries())
        subprocess.run(
            [shutil.which("slapadd") or "/usr/sbin/slapadd", "-f", home / "slapd.conf", "-l", ldif], check=True, capture_output=True, timeout=60
        )
        self.program = Program(
            [binary, "-h", f"ldap://127.0.0.1:{self.port}", "-f", home / "slapd.conf", "-d", "0"],
            log=home / "slapd.log",
            environment=clean_environment(),
            cwd=home,
        )
        wait_until(self._answers, "slapd")

    def _answers(self) -> bool:
        self.program.require_running()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @staticmethod
    def _entries() -> str:
        entries = [
            f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n",
            f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n",
            f"dn: {GROUPS}\nobjectClass: organizationalUnit\nou: groups\n",
            f"dn: {READER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: doorward\nuserPassword: {READER_PASSWORD}\n",
        ]
        for number, (uid, password) in enumerate(PERSONS.items()):
            entries.append(
                f"dn: cn=person-{number},{PEOPLE}\nobjectClass: inetOrgPerson\ncn: person-{number}\ndisplayName: The {uid}\nsn: {uid}\n"
                f"uid: {uid}\nmail: {uid if uid.isalnum() else 'star'}@directory.example\nuserPassword: {password}\n"
            )
        # Two entries under one name are nobody.
        for number in (90, 91):
            entries.append(
                f"dn: cn=person-{number},{PEOPLE}\nobjectClass: inetOrgPerson\ncn: person-{number}\nsn: twin\nuid: twin\nuserPassword: twin's password\n"
            )
        entries.append(f"dn: cn=Developers,{GROUPS}\nobjectClass: groupOfNames\ncn: Developers\nmember: cn=person-0,{PEOPLE}\n")
        entries.append(f"dn: cn=others,{GROUPS}\nobjectClass: groupOfNames\ncn: others\nmember: cn=person-1,{PEOPLE}\n")
        return "\n".join(entries)

    def modify(self, ldif: str) -> None:
        """Changes entries as the directory's own administrator."""
        command = ["ldapmodify", "-x", "-ZZ", "-H", f"ldap://127.0.0.1:{self.port}", "-D", ROOT, "-w", ROOT_PASSWORD]
        done = subprocess.run(
            command, input=ldif, text=True, capture_output=True, timeout=30, env=clean_environment(LDAPTLS_CACERT=str(self.certificate))
        )
        assert done.returncode == 0, done.stderr

    def stop(self) -> None:
        self.program.stop()


def configuration(slapd: Slapd, **changes: str) -> str:
    """`[ldap]` for it; a key that is None is left out."""
    usual = {
        "host": '"127.0.0.1"',
        "port": str(slapd.port),
        "bind_dn": f'"{READER}"',
        "bind_password": f'"{READER_PASSWORD}"',
        "base": f'"{PEOPLE}"',
        "name_attribute": '"displayName"',
        "group_base": f'"{GROUPS}"',
        "groups": f'["developer: CN=developers, {GROUPS}"]',
        **changes,
    }
    lines = "".join(f"{key} = {value}\n" for key, value in usual.items() if value is not None)
    return f'[outbound]\nca_file = "{slapd.certificate}"\n\n[roles.developer]\ninherits = ["user"]\n\n[ldap]\n{lines}'
