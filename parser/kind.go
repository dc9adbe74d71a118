package parser

import "fmt"

// Kind says which statement it is.
type Kind int

// The statements that Parse reads.
const (
	AlterTable         Kind = iota + 1 // ALTER TABLE t …
	CreateIndex                        // CREATE [UNIQUE | FULLTEXT | SPATIAL] INDEX i ON t …
	DropIndexStatement                 // DROP INDEX i ON t …
)

// String is the statement's first words.
func (k Kind) String() string {
	switch k {
	case AlterTable:
		return "ALTER TABLE"
	case CreateIndex:
		return "CREATE INDEX"
	case DropIndexStatement:
		return "DROP INDEX"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// ClauseKind says what a clause changes.
type ClauseKind int

// The kinds of clauses, with the fields of Clause that each of them fills
// besides Text.
const (
	Other ClauseKind = iota // not understood: run the statement as it is

	AddColumn    // Column; Parent
	DropColumn   // Column
	ChangeColumn // Column, NewColumn; Parent
	ModifyColumn // Column; Parent
	RenameColumn // Column, NewColumn
	AlterColumn  // Column; Value is SET DEFAULT, DROP DEFAULT, VISIBLE or INVISIBLE

	AddIndex      // Name, empty if the server is to find one; so for the next four
	AddUnique     // Name: the index's, else the constraint's
	AddFulltext   // Name
	AddSpatial    // Name
	AddPrimaryKey // nothing: its name is always PRIMARY
	AddForeignKey // Name: the constraint's; Parent
	AddCheck      // Name

	DropIndex      // Name
	DropPrimaryKey // nothing; also DROP INDEX `PRIMARY`
	DropForeignKey // Name
	DropCheck      // Name
	DropConstraint // Name, of a check, a foreign key or an index

	AlterIndex      // Name; Value is VISIBLE or INVISIBLE
	AlterConstraint // Name; Value is ENFORCED or NOT ENFORCED
	RenameIndex     // Name, NewName
	RenameTable     // NewSchema, NewName

	ConvertCharset // Value: the character set, Name: the collation, if given
	TableOption    // Name in capitals, as ENGINE, CHARSET or DATA DIRECTORY; Value
	OrderBy        // nothing
	Force          // nothing
	EnableKeys     // nothing
	DisableKeys    // nothing

	PartitionBy          // nothing
	RemovePartitioning   // nothing
	PartitionMaintenance // Name: the verb, as ADD, DROP or EXCHANGE

	DiscardTablespace // nothing
	ImportTablespace  // nothing
	SecondaryLoad     // nothing
	SecondaryUnload   // nothing

	Algorithm  // Value in capitals: DEFAULT, INSTANT, INPLACE or COPY
	Lock       // Value in capitals: DEFAULT, NONE, SHARED or EXCLUSIVE
	Validation // Value: WITH or WITHOUT
)

var clauseNames = [...]string{
	Other:     "other",
	AddColumn: "add column", DropColumn: "drop column", ChangeColumn: "change column", ModifyColumn: "modify column",
	RenameColumn: "rename column", AlterColumn: "alter column",
	AddIndex: "add index", AddUnique: "add unique", AddFulltext: "add fulltext", AddSpatial: "add spatial",
	AddPrimaryKey: "add primary key", AddForeignKey: "add foreign key", AddCheck: "add check",
	DropIndex: "drop index", DropPrimaryKey: "drop primary key", DropForeignKey: "drop foreign key",
	DropCheck: "drop check", DropConstraint: "drop constraint",
	AlterIndex: "alter index", AlterConstraint: "alter constraint", RenameIndex: "rename index", RenameTable: "rename table",
	ConvertCharset: "convert charset", TableOption: "table option", OrderBy: "order by", Force: "force",
	EnableKeys: "enable keys", DisableKeys: "disable keys",
	PartitionBy: "partition by", RemovePartitioning: "remove partitioning", PartitionMaintenance: "partition maintenance",
	DiscardTablespace: "discard tablespace", ImportTablespace: "import tablespace",
	SecondaryLoad: "secondary load", SecondaryUnload: "secondary unload",
	Algorithm: "algorithm", Lock: "lock", Validation: "validation",
}

// String is the kind in small letters, as "add column".
func (k ClauseKind) String() string {
	if k < 0 || int(k) >= len(clauseNames) {
		return fmt.Sprintf("ClauseKind(%d)", int(k))
	}
	return clauseNames[k]
}

// Clause is one change that a statement asks for. ADD (a INT, b INT) gives one
// clause per column, ENGINE=InnoDB COMMENT='x' one per option. An inline
// PRIMARY KEY, UNIQUE or CHECK is part of its column's definition and gives none.
// Names are without quotes, otherwise as written.
type Clause struct {
	Kind ClauseKind

	Column, NewColumn    string
	Name, NewName        string
	NewSchema            string // RENAME TO schema.table
	Value                string
	ParentSchema, Parent string // the table after REFERENCES; servers before 9.0 ignore one inline in a column

	// Text is the clause's own bytes.
	Text string
}
