package proxy

import (
	"errors"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-sql-driver/mysql"

	"sluice/internal/wire"
)

// errorPrefix marks the messages that are not the server's.
const errorPrefix = "sluice: "

// toServerError turns a Go error into what an ERR packet tells the client. It
// is the only function that does:
//
//	an error of the server's, also wrapped     as the server worded it
//	the proxy shuts down (ErrDraining, …)      1053 (08S01) Server shutdown in progress
//	anything else                              1105 (HY000) sluice: …
func toServerError(err error) *wire.ServerError {
	var fromServer *mysql.MySQLError
	switch {
	case errors.As(err, &fromServer):
		return &wire.ServerError{
			Number:  fromServer.Number,
			State:   stateOf(fromServer),
			Message: fromServer.Message,
		}
	case errors.Is(err, ErrDraining), errors.Is(err, ErrDrainTimeout):
		return newServerError(gomysql.ER_SERVER_SHUTDOWN, gomysql.MySQLErrName[gomysql.ER_SERVER_SHUTDOWN])
	default:
		return newServerError(gomysql.ER_UNKNOWN_ERROR, errorPrefix+err.Error())
	}
}

// newServerError returns an error with the SQLSTATE that belongs to its number.
func newServerError(number uint16, message string) *wire.ServerError {
	return &wire.ServerError{Number: number, State: stateOf(&mysql.MySQLError{Number: number}), Message: message}
}

// stateOf returns the SQLSTATE of an error, which a driver may have left out.
func stateOf(e *mysql.MySQLError) string {
	if e.SQLState != [5]byte{} {
		return string(e.SQLState[:])
	}
	if state, ok := gomysql.MySQLState[e.Number]; ok {
		return state
	}
	return gomysql.DEFAULT_MYSQL_STATE
}

// fromServerError turns what an ERR packet says into the driver's error type,
// so that code that uses the driver elsewhere asks the same questions here.
func fromServerError(e *wire.ServerError) *mysql.MySQLError {
	err := &mysql.MySQLError{Number: e.Number, Message: e.Message}
	copy(err.SQLState[:], e.State)
	return err
}
