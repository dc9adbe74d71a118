"""What an ordinary PyMySQL program does. Arguments: host port user password database tls|plain."""
import ssl
import sys

import pymysql

host, port, user, password, database, leg = sys.argv[1:]
unverified = ssl.create_default_context()
unverified.check_hostname = False
unverified.verify_mode = ssl.CERT_NONE


def connect():
    return pymysql.connect(host=host, port=int(port), user=user, password=password, database=database,
                           charset="utf8mb4", ssl=unverified if leg == "tls" else None, ssl_disabled=leg != "tls")


connection = connect()
with connection.cursor() as c:
    c.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    assert bool(c.fetchone()[1]) == (leg == "tls")
    # PyMySQL has no prepared statements of its own: the server's, then.
    c.execute("PREPARE s FROM 'INSERT INTO notes (body, n) VALUES (?, ?)'")
    c.execute("SET @b = %s, @n = %s", ("prepared 🐬", 1))
    c.execute("EXECUTE s USING @b, @n")
connection.commit()
with connection.cursor() as c:
    c.execute("INSERT INTO notes (body, n) VALUES ('rolled back', 2)")
connection.rollback()
with connection.cursor() as c:
    c.execute("INSERT INTO notes (body, n) VALUES (%s, %s)", ("committed", 3))
connection.commit()
with connection.cursor() as c:
    try:
        c.execute("SELECT * FROM nosuch")
        raise AssertionError("no error")
    except pymysql.err.ProgrammingError as e:
        assert e.args[0] == 1146, e
    c.execute("SET @sluice_mode = 'online'")
    c.execute("ALTER TABLE notes MODIFY n BIGINT NOT NULL")
connection.close()

connection = connect()
with connection.cursor() as c:
    c.execute("SELECT body FROM notes ORDER BY id")
    assert [row[0] for row in c.fetchall()] == ["prepared 🐬", "committed"]
connection.close()
