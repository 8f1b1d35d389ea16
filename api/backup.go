package api

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// SizeHeader is the header with the approximate size of a backup in bytes.
const SizeHeader = "Keyfob-Backup-Bytes"

// Backup is a sealed copy of everything that a node has, ready to be written.
type Backup interface {
	Size() int64 // approximately
	io.WriterTo
}

// RecoveryKey is a key that decrypts backups.
type RecoveryKey struct {
	Name      string `json:"name" doc:"Short name of the key."`
	Shares    int    `json:"shares,omitempty" doc:"Number of parts that the private half was split into; absent: it is whole."`
	Threshold int    `json:"threshold,omitempty" doc:"Number of parts that are needed."`
}

// AddRecoveryKeyRequest adds a key that backups are sealed for.
type AddRecoveryKeyRequest struct {
	CommandRequest
	Public    []byte `json:"public" maxLength:"4096" doc:"Public half of the key, in base64. The private half never reaches the cluster."`
	Shares    uint8  `json:"shares,omitempty" maximum:"16" doc:"Number of parts that the private half was split into."`
	Threshold uint8  `json:"threshold,omitempty" maximum:"16" doc:"Number of parts that are needed."`
	Replace   bool   `json:"replace,omitempty" doc:"Remove all other keys. They still open earlier backups."`
}

type addRecoveryKeyInput struct{ Body AddRecoveryKeyRequest }

type recoveryKeyRemoval struct {
	Name string `path:"name" maxLength:"64"`
	RemovalQuery
}

type backUpInput struct{ Body CommandRequest }

func (a *API) backups() {
	register(a, route{get, "/cluster/recovery-keys", "list-recovery-keys", "List the keys that backups are sealed for", auditors, 0}, a.listRecoveryKeys)
	register(a, route{post, "/cluster/recovery-keys", "add-recovery-key", "Seal backups for a key", administrators, 201}, a.addRecoveryKey)
	register(a, route{remove, "/cluster/recovery-keys/{name}", "remove-recovery-key", "No longer seal backups for a key; it still opens earlier ones", administrators, 0}, a.removeRecoveryKey)
	huma.Register(a.huma, huma.Operation{
		Method:       post,
		Path:         Prefix + "/cluster/backup",
		OperationID:  "back-up",
		Summary:      "Write a backup: the state and the audit trail, sealed for the recovery keys",
		Description:  "Roles: " + administrators.String() + ". An answer that is cut off is not a backup. " + SizeHeader + " has the approximate size.",
		Tags:         []string{"cluster"},
		MaxBodyBytes: maxBody,
		Metadata:     map[string]any{rolesKey: administrators},
		Responses: map[string]*huma.Response{"200": {
			Description: "The backup",
			Content:     map[string]*huma.MediaType{"application/octet-stream": {}},
		}},
	}, a.backUp)
}

func (a *API) listRecoveryKeys(context.Context, *struct{}) (*answer[List[RecoveryKey]], error) {
	return answered(List[RecoveryKey]{Items: a.cfg.Cluster.RecoveryKeys()}), nil
}

func (a *API) addRecoveryKey(ctx context.Context, in *addRecoveryKeyInput) (*none, error) {
	o, err := a.origin(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	add := a.cfg.Cluster.AddRecoveryKey
	if in.Body.Replace {
		add = a.cfg.Cluster.SetRecoveryKey
	}
	return nil, add(ctx, o, in.Body.Public, in.Body.Shares, in.Body.Threshold)
}

func (a *API) removeRecoveryKey(ctx context.Context, in *recoveryKeyRemoval) (*none, error) {
	o, err := a.origin(ctx, in.Reason)
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.Cluster.RemoveRecoveryKey(ctx, o, in.Name)
}

func (a *API) backUp(ctx context.Context, in *backUpInput) (*huma.StreamResponse, error) {
	select {
	case a.backing <- struct{}{}:
	default:
		return nil, again(problem(http.StatusServiceUnavailable, "busy", "this node is already writing a backup; wait for it, or ask another node"))
	}
	done := func() { <-a.backing }
	o, err := a.origin(ctx, in.Body.Reason)
	if err != nil {
		done()
		return nil, a.problemOf(ctx, "back-up", err)
	}
	backup, err := a.cfg.Cluster.Backup(ctx, o)
	if err != nil {
		done()
		return nil, a.problemOf(ctx, "back-up", err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer done()
		a.send(hc, backup)
	}}, nil
}

// send writes a backup. An error cuts the connection, so that the client notices it.
func (a *API) send(hc huma.Context, backup Backup) {
	r, w := humago.Unwrap(hc)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(SizeHeader, strconv.FormatInt(backup.Size(), 10))
	if _, err := backup.WriteTo(timedWriter{w, http.NewResponseController(w)}); err != nil {
		a.cfg.Log.ErrorContext(r.Context(), "backup failed", "err", err)
		panic(http.ErrAbortHandler)
	}
}

// timedWriter gives the client a time limit for each piece instead of for the whole.
type timedWriter struct {
	io.Writer
	control *http.ResponseController
}

// Write implements io.Writer.
func (w timedWriter) Write(b []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(writeWait))
	return w.Writer.Write(b)
}
