package migrator

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"sluice/internal/mysqlerr"
	"sluice/internal/schema"
)

// Complaint is something that keeps Sluice from working on a server.
type Complaint struct {
	Problem string
	Mend    string // the exact statement or setting that mends it
	// Schema is set where only the tables of one schema are concerned: the
	// rest works.
	Schema string
}

func (c Complaint) String() string { return c.Problem + ": " + c.Mend }

// Check asks the server for everything that Sluice needs of it. The error says
// that it could not be asked.
func Check(ctx context.Context, cfg *mysql.Config) ([]Complaint, error) {
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	defer s.db.Close()
	if err := s.db.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("reach the server at %s as %s: %w", cfg.Addr, cfg.User, err)
	}
	complaints, err := s.checkSettings(ctx)
	if err != nil {
		return nil, err
	}
	missing, err := s.checkPrivileges(ctx)
	return append(complaints, missing...), err
}

// oldest is the first version in which RENAME TABLE works under LOCK TABLES.
var oldest = [3]int{8, 0, 13}

func (s *server) checkSettings(ctx context.Context) ([]Complaint, error) {
	var version, comment, format, options string
	var logBin, performance bool
	var serverID int64
	err := s.db.QueryRowContext(ctx, "SELECT VERSION(), @@version_comment, @@log_bin, @@GLOBAL.binlog_format, @@GLOBAL.binlog_row_value_options, @@performance_schema, @@server_id").
		Scan(&version, &comment, &logBin, &format, &options, &performance, &serverID)
	if err != nil {
		if strings.Contains(version+comment, "MariaDB") || mysqlerr.Is(err, mysqlerr.UnknownVariable) {
			return []Complaint{{Problem: "the server is not MySQL 8.0.13 or later", Mend: "use such a server"}}, nil
		}
		return nil, fmt.Errorf("read the server's settings: %w", err)
	}
	var found []Complaint
	complain := func(problem, mend string) { found = append(found, Complaint{Problem: problem, Mend: mend}) }
	if strings.Contains(version+comment, "MariaDB") || versionBefore(version, oldest) {
		complain("the server is "+version+", older than MySQL 8.0.13", "use MySQL 8.0.13 or later")
	}
	if !logBin {
		complain("log_bin is OFF", "remove skip-log-bin from the server's configuration, or set log_bin there, and restart it")
	}
	if format != "ROW" {
		complain("binlog_format is "+format, "SET PERSIST binlog_format = 'ROW'; sessions that are connected keep the old format until they reconnect")
	}
	if options != "" {
		complain("binlog_row_value_options is "+options, "SET PERSIST binlog_row_value_options = ''")
	}
	if !performance {
		complain("performance_schema is OFF", "set performance_schema=ON in the server's configuration and restart it")
	}
	if serverID == 0 {
		complain("server_id is 0", "SET PERSIST server_id = 1, or another number that is unique among the servers that replicate with it")
	}
	return found, nil
}

func versionBefore(version string, limit [3]int) bool {
	var v [3]int
	for i, part := range strings.SplitN(version, ".", 3) {
		digits := part[:len(part)-len(strings.TrimLeft(part, "0123456789"))]
		v[i], _ = strconv.Atoi(digits)
	}
	return slices.Compare(v[:], limit[:]) < 0
}

// The privileges of Sluice's account, by what they are granted on.
var (
	globalPrivileges = []string{"PROCESS", "REPLICATION CLIENT", "REPLICATION SLAVE"}
	ownPrivileges    = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "LOCK TABLES"}
	tablePrivileges  = []string{"SELECT", "INSERT", "CREATE", "DROP", "ALTER", "LOCK TABLES", "TRIGGER"}
)

// PrivilegeStatements are the statements that give an account all that Sluice
// needs, for the documentation and for the demo.
func PrivilegeStatements(account string) []string {
	list := func(p []string) string { return strings.Join(p, ", ") }
	return []string{
		fmt.Sprintf("GRANT %s ON *.* TO %s", list(globalPrivileges), account),
		fmt.Sprintf("GRANT SELECT ON performance_schema.* TO %s", account),
		fmt.Sprintf("GRANT %s ON `sluice`.* TO %s", list(ownPrivileges), account),
		fmt.Sprintf("GRANT %s ON `sluice\\_%%`.* TO %s", list(ownPrivileges), account),
		fmt.Sprintf("GRANT %s ON *.* TO %s", list(tablePrivileges), account),
	}
}

// checkPrivileges reads what SHOW GRANTS says, which contains what comes by way
// of active roles.
func (s *server) checkPrivileges(ctx context.Context) ([]Complaint, error) {
	g, err := s.grants(ctx)
	if err != nil {
		return nil, err
	}
	var found []Complaint
	complain := func(on, schemaName string, missing []string) {
		if len(missing) == 0 {
			return
		}
		what := strings.Join(missing, ", ")
		found = append(found, Complaint{
			Problem: fmt.Sprintf("the account %s lacks %s on %s", g.account, what, on),
			Mend:    fmt.Sprintf("GRANT %s ON %s TO %s", what, on, g.account),
			Schema:  schemaName,
		})
	}
	complain("*.*", "", g.missing("", globalPrivileges))
	complain("performance_schema.*", "", g.missing("performance_schema", []string{"SELECT"}))
	complain("`sluice`.*", "", g.missing(schema.State, ownPrivileges))
	complain("`sluice\\_%`.*", "", g.missing("sluice_shadow_1", ownPrivileges))
	users, err := s.userSchemas(ctx)
	if err != nil {
		return nil, err
	}
	if len(users) == 0 {
		// A schema on which the account has no privilege is not even listed.
		complain("*.*", "", g.missing("", tablePrivileges))
	}
	for _, name := range users {
		complain(schema.Quote(strings.NewReplacer("_", `\_`, "%", `\%`).Replace(name))+".*", name, g.missing(name, tablePrivileges))
	}
	return found, nil
}

func (s *server) userSchemas(ctx context.Context) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT SCHEMA_NAME FROM information_schema.SCHEMATA
		WHERE SCHEMA_NAME NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', 'sluice') AND SCHEMA_NAME NOT LIKE 'sluice\_%' ORDER BY 1`)
	if err != nil {
		return nil, fmt.Errorf("list schemas: %w", err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list schemas: %w", err)
		}
		all = append(all, name)
	}
	return all, rows.Err()
}

// grants are the privileges of the connected account.
type grants struct {
	account string
	on      map[string]map[string]bool // by what stands behind ON, "*.*" or "`pattern`.*"
}

var grantLine = regexp.MustCompile("^GRANT (.+) ON (.+) TO ")

func (s *server) grants(ctx context.Context) (grants, error) {
	g := grants{on: map[string]map[string]bool{}}
	var user string
	if err := s.db.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&user); err != nil {
		return g, fmt.Errorf("ask for the account: %w", err)
	}
	at := strings.LastIndexByte(user, '@')
	g.account = fmt.Sprintf("'%s'@'%s'", user[:at], user[at+1:])
	rows, err := s.db.QueryContext(ctx, "SHOW GRANTS")
	if err != nil {
		return g, fmt.Errorf("read the account's grants: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var line sql.NullString
		if err := rows.Scan(&line); err != nil {
			return g, fmt.Errorf("read the account's grants: %w", err)
		}
		m := grantLine.FindStringSubmatch(line.String)
		if m == nil || strings.HasSuffix(m[2], "`") {
			continue // a role, or grants on a single table
		}
		if g.on[m[2]] == nil {
			g.on[m[2]] = map[string]bool{}
		}
		for p := range strings.SplitSeq(m[1], ", ") {
			g.on[m[2]][p] = true
		}
	}
	return g, rows.Err()
}

// missing lists the privileges that the account has neither on everything nor
// on the schema; the schema "" means on everything.
func (g grants) missing(schemaName string, wanted []string) []string {
	var missing []string
	for _, p := range wanted {
		if !g.has(schemaName, p) {
			missing = append(missing, p)
		}
	}
	return missing
}

func (g grants) has(schemaName, privilege string) bool {
	for on, privileges := range g.on {
		applies := on == "*.*" || schemaName != "" && likeMatch(strings.Trim(strings.TrimSuffix(on, ".*"), "`"), schemaName)
		if applies && (privileges[privilege] || privileges["ALL PRIVILEGES"]) {
			return true
		}
	}
	return false
}

// likeMatch matches a name against the pattern of a schema-level grant.
func likeMatch(pattern, name string) bool {
	var re strings.Builder
	re.WriteString("^")
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			i++
			re.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		case c == '%':
			re.WriteString(".*")
		case c == '_':
			re.WriteString(".")
		default:
			re.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		}
	}
	ok, err := regexp.MatchString(re.String()+"$", name)
	return err == nil && ok
}

// Summary is one line that names all complaints, or nil where there are none
// that concern the whole server.
func Summary(complaints []Complaint) error {
	var all []string
	for _, c := range complaints {
		if c.Schema == "" {
			all = append(all, c.String())
		}
	}
	if len(all) == 0 {
		return nil
	}
	return errors.New(strings.Join(all, "; "))
}
