package parser_test

import (
	"testing"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"sluice/parser"
)

// plainTiDB are the specs of which the kind says all.
var plainTiDB = map[ast.AlterTableType]change{
	ast.AlterTableDropPrimaryKey:             {Kind: parser.DropPrimaryKey},
	ast.AlterTableLock:                       {Kind: parser.Lock},
	ast.AlterTableAlgorithm:                  {Kind: parser.Algorithm},
	ast.AlterTableForce:                      {Kind: parser.Force},
	ast.AlterTableEnableKeys:                 {Kind: parser.EnableKeys},
	ast.AlterTableDisableKeys:                {Kind: parser.DisableKeys},
	ast.AlterTableOrderByColumns:             {Kind: parser.OrderBy},
	ast.AlterTableWithValidation:             {Kind: parser.Validation},
	ast.AlterTableWithoutValidation:          {Kind: parser.Validation},
	ast.AlterTableSecondaryLoad:              {Kind: parser.SecondaryLoad},
	ast.AlterTableSecondaryUnload:            {Kind: parser.SecondaryUnload},
	ast.AlterTableImportTablespace:           {Kind: parser.ImportTablespace},
	ast.AlterTableDiscardTablespace:          {Kind: parser.DiscardTablespace},
	ast.AlterTablePartition:                  {Kind: parser.PartitionBy},
	ast.AlterTableRemovePartitioning:         {Kind: parser.RemovePartitioning},
	ast.AlterTableAddPartitions:              {Kind: parser.PartitionMaintenance, Name: "ADD"},
	ast.AlterTableDropPartition:              {Kind: parser.PartitionMaintenance, Name: "DROP"},
	ast.AlterTableTruncatePartition:          {Kind: parser.PartitionMaintenance, Name: "TRUNCATE"},
	ast.AlterTableCoalescePartitions:         {Kind: parser.PartitionMaintenance, Name: "COALESCE"},
	ast.AlterTableReorganizePartition:        {Kind: parser.PartitionMaintenance, Name: "REORGANIZE"},
	ast.AlterTableExchangePartition:          {Kind: parser.PartitionMaintenance, Name: "EXCHANGE"},
	ast.AlterTableCheckPartitions:            {Kind: parser.PartitionMaintenance, Name: "CHECK"},
	ast.AlterTableOptimizePartition:          {Kind: parser.PartitionMaintenance, Name: "OPTIMIZE"},
	ast.AlterTableRebuildPartition:           {Kind: parser.PartitionMaintenance, Name: "REBUILD"},
	ast.AlterTableRepairPartition:            {Kind: parser.PartitionMaintenance, Name: "REPAIR"},
	ast.AlterTableDiscardPartitionTablespace: {Kind: parser.PartitionMaintenance, Name: "DISCARD"},
	ast.AlterTableImportPartitionTablespace:  {Kind: parser.PartitionMaintenance, Name: "IMPORT"},
}

// tidbChanges puts one spec of TiDB's into our words.
func tidbChanges(t *testing.T, spec *ast.AlterTableSpec) []change {
	if c, ok := plainTiDB[spec.Tp]; ok {
		return []change{c}
	}
	c := change{}
	switch spec.Tp {
	case ast.AlterTableOption:
		return tidbOptions(spec)
	case ast.AlterTableAddColumns:
		return tidbColumns(t, spec)
	case ast.AlterTableAddConstraint:
		return []change{tidbConstraint(t, spec.Constraint)}
	case ast.AlterTableDropColumn:
		c = change{Kind: parser.DropColumn, Column: spec.OldColumnName.Name.O}
	case ast.AlterTableModifyColumn:
		c = change{Kind: parser.ModifyColumn, Column: spec.NewColumns[0].Name.Name.O}
	case ast.AlterTableChangeColumn:
		c = change{Kind: parser.ChangeColumn, Column: spec.OldColumnName.Name.O, Into: spec.NewColumns[0].Name.Name.O}
	case ast.AlterTableRenameColumn:
		c = change{Kind: parser.RenameColumn, Column: spec.OldColumnName.Name.O, Into: spec.NewColumnName.Name.O}
	case ast.AlterTableAlterColumn:
		c = change{Kind: parser.AlterColumn, Column: spec.NewColumns[0].Name.Name.O}
	case ast.AlterTableDropIndex:
		c = change{Kind: parser.DropIndex, Name: spec.Name}
	case ast.AlterTableDropForeignKey:
		c = change{Kind: parser.DropForeignKey, Name: spec.Name}
	case ast.AlterTableDropCheck:
		c = change{Kind: parser.DropCheck, Name: spec.Constraint.Name}
	case ast.AlterTableAlterCheck:
		c = change{Kind: parser.AlterConstraint, Name: spec.Constraint.Name}
	case ast.AlterTableIndexInvisible:
		c = change{Kind: parser.AlterIndex, Name: spec.IndexName.O}
	case ast.AlterTableRenameIndex:
		c = change{Kind: parser.RenameIndex, Name: spec.FromKey.O + " to " + spec.ToKey.O}
	case ast.AlterTableRenameTable:
		c = change{Kind: parser.RenameTable, Name: spec.NewTable.Schema.O + "." + spec.NewTable.Name.O}
	default:
		t.Fatalf("no words for TiDB's spec %d", spec.Tp)
	}
	return []change{c}
}

func tidbColumns(t *testing.T, spec *ast.AlterTableSpec) (changes []change) {
	for _, column := range spec.NewColumns {
		changes = append(changes, change{Kind: parser.AddColumn, Column: column.Name.Name.O})
	}
	for _, constraint := range spec.NewConstraints {
		changes = append(changes, tidbConstraint(t, constraint))
	}
	return changes
}

func tidbConstraint(t *testing.T, constraint *ast.Constraint) change {
	kinds := map[ast.ConstraintType]parser.ClauseKind{
		ast.ConstraintPrimaryKey: parser.AddPrimaryKey, ast.ConstraintForeignKey: parser.AddForeignKey, ast.ConstraintCheck: parser.AddCheck,
		ast.ConstraintKey: parser.AddIndex, ast.ConstraintIndex: parser.AddIndex, ast.ConstraintFulltext: parser.AddFulltext,
		ast.ConstraintUniq: parser.AddUnique, ast.ConstraintUniqKey: parser.AddUnique, ast.ConstraintUniqIndex: parser.AddUnique,
	}
	c := change{Kind: kinds[constraint.Tp], Name: constraint.Name}
	switch c.Kind {
	case parser.Other:
		t.Fatalf("no words for TiDB's constraint %d", constraint.Tp)
	case parser.AddPrimaryKey:
		c.Name = ""
	case parser.AddForeignKey:
		c.Name += " references " + constraint.Refer.Table.Schema.O + "." + constraint.Refer.Table.Name.O
	}
	return c
}

// tidbOptions tells CONVERT TO from options; a character set and the collation
// behind it are one there.
func tidbOptions(spec *ast.AlterTableSpec) (changes []change) {
	for i, option := range spec.Options {
		switch {
		case option.Tp == ast.TableOptionCharset && option.UintValue == ast.TableOptionCharsetWithConvertTo:
			changes = append(changes, change{Kind: parser.ConvertCharset})
		case i > 0 && changes[0].Kind == parser.ConvertCharset && option.Tp == ast.TableOptionCollate:
		default:
			changes = append(changes, change{Kind: parser.TableOption})
		}
	}
	return changes
}
