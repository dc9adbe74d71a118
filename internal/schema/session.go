package schema

import (
	"context"
	"fmt"
	"regexp"
	"sort"
	"strings"
)

// Session is the part of a client's session that decides what its ALTER TABLE
// means. It is stored with the migration, so that a resumed one still means
// the same.
type Session struct {
	Database  string            `json:"database"`
	Variables map[string]string `json:"variables"`
}

// SessionVariables are the settings that change what a DDL statement does, or
// how values are converted, on some supported version. A server that does not
// know one just does not list it.
var SessionVariables = []string{
	"character_set_client", "character_set_connection", "character_set_server", "character_set_results",
	"collation_connection", "collation_server", "default_collation_for_utf8mb4",
	"default_storage_engine", "default_table_encryption", "default_week_format", "div_precision_increment",
	"explicit_defaults_for_timestamp", "foreign_key_checks", "group_concat_max_len", "innodb_strict_mode",
	"lc_messages", "lc_time_names", "restrict_fk_on_non_standard_key", "sql_generate_invisible_primary_key",
	"sql_mode", "sql_require_primary_key", "time_zone", "unique_checks",
	"version", // cannot be set; it says which executable comments are executed
}

// ShowVariables is the statement that reads SessionVariables on any session;
// it needs no privilege.
func ShowVariables() string {
	return "SHOW SESSION VARIABLES WHERE Variable_name IN ('" + strings.Join(SessionVariables, "', '") + "')"
}

// HasMode reports whether the session's sql_mode contains mode.
func (s Session) HasMode(mode string) bool {
	for m := range strings.SplitSeq(s.Variables["sql_mode"], ",") {
		if m == mode {
			return true
		}
	}
	return false
}

// Version is the server's version as executable comments write it: 80036,
// 90700; 0 where it is not known.
func (s Session) Version() int {
	var major, minor, patch int
	if n, _ := fmt.Sscanf(s.Variables["version"], "%d.%d.%d", &major, &minor, &patch); n != 3 {
		return 0
	}
	return major*10000 + minor*100 + patch
}

// conversionModes are the sql_modes that decide how a value is converted when
// it is stored. The others change how statements are read or printed; our own
// statements must not depend on them.
var conversionModes = []string{
	"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "NO_ZERO_IN_DATE", "NO_ZERO_DATE", "ERROR_FOR_DIVISION_BY_ZERO",
	"ALLOW_INVALID_DATES", "TIME_TRUNCATE_FRACTIONAL",
}

// RowMode is the sql_mode under which rows are copied for the session:
// conversions as the client asked, and an id of 0 stays 0.
func (s Session) RowMode() string {
	modes := []string{"NO_AUTO_VALUE_ON_ZERO"}
	for _, m := range conversionModes {
		if s.HasMode(m) {
			modes = append(modes, m)
		}
	}
	return strings.Join(modes, ",")
}

// Strict reports whether a value that does not fit is an error on InnoDB.
func (s Session) Strict() bool {
	return s.HasMode("STRICT_TRANS_TABLES") || s.HasMode("STRICT_ALL_TABLES")
}

// Apply gives the connection q the settings of s, so that a DDL statement
// means there what it means on the client's session. Only what differs is set,
// since some variables need a privilege to be set at all.
func (s Session) Apply(ctx context.Context, q Queryer) error {
	rows, err := q.QueryContext(ctx, ShowVariables())
	if err != nil {
		return fmt.Errorf("read session variables: %w", err)
	}
	defer rows.Close()
	have := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return fmt.Errorf("read session variables: %w", err)
		}
		have[name] = value
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read session variables: %w", err)
	}
	var sets []string
	for name, value := range s.Variables {
		if now, known := have[name]; known && now != value && name != "version" {
			sets = append(sets, "SESSION "+name+" = "+variableLiteral(name, value))
		}
	}
	if len(sets) == 0 {
		return nil
	}
	sort.Strings(sets)
	if _, err := q.ExecContext(ctx, "SET "+strings.Join(sets, ", ")); err != nil {
		return fmt.Errorf("take over the client's session settings: %w", err)
	}
	return nil
}

var number = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

// variableLiteral renders the value that SHOW VARIABLES printed so that SET
// takes it. The values are names of modes, charsets, zones and engines: a
// quote or backslash in one would not come from a server.
func variableLiteral(name, value string) string {
	switch {
	case value == "" && name == "character_set_results":
		return "NULL"
	case number.MatchString(value):
		return value
	case value == "":
		return "''"
	default:
		return "'" + strings.NewReplacer("'", "", `\`, "").Replace(value) + "'"
	}
}
