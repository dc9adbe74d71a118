package load

import (
	"context"
	"database/sql"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"sluice/internal/schema"
)

// Definition is the CREATE TABLE statement of the table that Seed makes.
func Definition(table string) string {
	return "CREATE TABLE " + schema.Quote(table) + ` (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  owner INT NOT NULL,
  k INT NOT NULL,
  token VARCHAR(64) NOT NULL,
  pad CHAR(60) NOT NULL,
  KEY k (k)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`
}

// seedBatch is how many rows go into one INSERT.
const seedBatch = 2000

// Seed creates the table, which must not exist, with rows rows. It always holds
// the same.
func Seed(ctx context.Context, db *sql.DB, table string, rows int64) error {
	if _, err := db.ExecContext(ctx, Definition(table)); err != nil {
		return fmt.Errorf("create %s: %w", table, err)
	}
	var text strings.Builder
	for first := int64(1); first <= rows; first += seedBatch {
		text.Reset()
		text.WriteString("INSERT INTO " + schema.Quote(table) + " (id, owner, k, token, pad) VALUES ")
		for id := first; id <= min(first+seedBatch-1, rows); id++ {
			if id > first {
				text.WriteByte(',')
			}
			token := seedToken(id)
			fmt.Fprintf(&text, "(%d,%d,%d,'%s','%s')", id, nobody, kOf(token), token, padOf(token))
		}
		if _, err := db.ExecContext(ctx, text.String()); err != nil {
			return fmt.Errorf("load rows into %s: %w", table, err)
		}
	}
	return nil
}

// nobody is the owner column of a preloaded row. Other rows have the number of
// the client that inserted them there, plus one.
const nobody = 0

func seedToken(id int64) string { return "seed-" + strconv.FormatInt(id, 10) }

func kOf(token string) int64 { return int64(crc32.ChecksumIEEE([]byte(token)) >> 1) }

func padOf(token string) string { return strings.Repeat(token+".", 60/(len(token)+1)+1)[:60] }

// stored is a row as it was read.
type stored struct {
	id, owner, k int64
	token, pad   string
}

func (s *stored) into() []any { return []any{&s.id, &s.owner, &s.k, &s.token, &s.pad} }

// whole reports whether all columns are of one and the same write to the row of
// this owner.
func (s *stored) whole(owner int64) bool {
	return s.owner == owner && s.k == kOf(s.token) && s.pad == padOf(s.token)
}

// texts are the statements on one table.
type texts struct{ read, insert, update, delete, all string }

func textsFor(table string) texts {
	t := schema.Quote(table)
	return texts{
		read:   "SELECT id, owner, k, token, pad FROM " + t + " WHERE id = ?",
		insert: "INSERT INTO " + t + " (owner, k, token, pad) VALUES (?, ?, ?, ?)",
		update: "UPDATE " + t + " SET k = ?, token = ?, pad = ? WHERE id = ? AND token = ?",
		delete: "DELETE FROM " + t + " WHERE id = ? AND token = ?",
		all:    "SELECT id, owner, k, token, pad FROM " + t + " ORDER BY id",
	}
}
