package wire

import "github.com/go-mysql-org/go-mysql/mysql"

// Shape says what the answer to a command looks like.
type Shape uint8

// The shapes of answers.
const (
	// Opaque is a command whose conversation we cannot follow: a replication
	// stream, a plugin's own protocol, a command that we do not know.
	Opaque Shape = iota
	// Silent is a command that the server does not answer.
	Silent
	// Results is OK, ERR, or rows; several of them where the flags say so.
	Results
	// Rows is rows without a column count in front, or ERR.
	Rows
	// Prepared is the answer to COM_STMT_PREPARE.
	Prepared
	// Single is one packet of any content.
	Single
	// LoginDialogue is an authentication dialogue that ends in OK or ERR.
	LoginDialogue
)

// ShapeOf returns the shape of the answer to the command cmd.
func ShapeOf(cmd byte) Shape {
	switch cmd {
	case mysql.COM_QUIT, mysql.COM_STMT_SEND_LONG_DATA, mysql.COM_STMT_CLOSE:
		return Silent
	case mysql.COM_INIT_DB, mysql.COM_QUERY, mysql.COM_CREATE_DB, mysql.COM_DROP_DB, mysql.COM_REFRESH,
		mysql.COM_SHUTDOWN, mysql.COM_PROCESS_INFO, mysql.COM_PROCESS_KILL, mysql.COM_DEBUG, mysql.COM_PING,
		mysql.COM_STMT_EXECUTE, mysql.COM_STMT_RESET, mysql.COM_SET_OPTION, mysql.COM_RESET_CONNECTION:
		return Results
	case mysql.COM_FIELD_LIST, mysql.COM_STMT_FETCH:
		return Rows
	case mysql.COM_STMT_PREPARE:
		return Prepared
	case mysql.COM_STATISTICS:
		return Single
	case mysql.COM_CHANGE_USER:
		return LoginDialogue
	default:
		return Opaque
	}
}
