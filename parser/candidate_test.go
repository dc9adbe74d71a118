package parser_test

import (
	"testing"

	"sluice/parser"
)

var others = []string{
	"SELECT c FROM sbtest1 WHERE id=4711",
	"/* trace 4bf92f3577b34da6 */ SELECT `u`.* FROM `users` AS `u` WHERE `u`.`id` = ? LIMIT 1",
	"INSERT INTO sbtest1 (id, k, c, pad) VALUES (1, 2, 'aaaaaaaaaaaaaaaaaaaa', 'bbbbbbbbbbbb')",
	"UPDATE t SET k=k+1 WHERE id=5",
	"DELETE FROM t WHERE id=7",
	"COMMIT",
	"  -- hello\n SET NAMES utf8mb4",
	"/*!40101 SET NAMES utf8 */",
	"CALL p(1)",
	"ANALYZE TABLE t",
	"EXPLAIN SELECT 1",
	"DESCRIBE t",
	"CREATE TABLE t (a INT)",
	"DROP TABLE t",
	"ALTER USER u IDENTIFIED BY 'x'",
	"alternate",
	"",
}

func TestCandidate(t *testing.T) {
	for _, sql := range others {
		if parser.Candidate([]byte(sql)) {
			t.Errorf("a candidate: %s", sql)
		}
	}
	for _, sql := range []string{
		"alter\ttable t add a int",
		" /* a */ -- b\n # c\n ALTER TABLE t",
		"/*!ALTER TABLE t */",
		"/*!50000ALTER TABLE t */",
		"/*!90800 SELECT 1 */ ALTER TABLE t", // what a server of 9.7 reads
		"/*!80036 ALTER TABLE t */",
		"/*! */ ALTER/**/TABLE t",
		"EXPLAIN ALTER TABLE t",
		"desc CREATE UNIQUE INDEX i ON t (a)",
		"describe DROP INDEX i ON t",
	} {
		if !parser.Candidate([]byte(sql)) {
			t.Errorf("no candidate: %s", sql)
		}
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	for _, sql := range append(others, "EXPLAIN CREATE UNIQUE INDEX i ON t (a)") {
		text := []byte(sql)
		if n := testing.AllocsPerRun(10, func() {
			parser.Candidate(text)
			parser.Names(text, "sbtest1")
		}); n != 0 {
			t.Errorf("%v allocations: %s", n, sql)
		}
	}
}

func BenchmarkCandidate(b *testing.B) {
	texts := make([][]byte, 8) // the first of others: what goes by all day
	for i := range texts {
		texts[i] = []byte(others[i])
	}
	for i := 0; b.Loop(); i++ {
		parser.Candidate(texts[i%len(texts)])
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		parse(b, "ALTER TABLE `app`.`orders` ADD COLUMN note VARCHAR(200) NOT NULL DEFAULT '', ADD INDEX i (note(10), created_at), LOCK=NONE")
	}
}

func BenchmarkNames(b *testing.B) {
	text := []byte(others[2])
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		parser.Names(text, "orders")
	}
}
