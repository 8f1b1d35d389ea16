package events

// StreamDiffered is recorded when the audit stream of a node is not a copy of the
// journal. Rebuilt: the stream was set aside and written anew from the journal.
type StreamDiffered struct {
	Node    string `cbor:"1,keyasint"`
	What    string `cbor:"2,keyasint"`
	Rebuilt bool   `cbor:"3,keyasint,omitempty"`
}

// PublishingFailed is recorded when a node has not been able to publish the audit
// trail for some seconds.
type PublishingFailed struct {
	Node  string `cbor:"1,keyasint"`
	Cause string `cbor:"2,keyasint"`
}

// PublishingResumed is recorded when it can again.
type PublishingResumed struct {
	Node    string `cbor:"1,keyasint"`
	Seconds int64  `cbor:"2,keyasint"` // that it failed
}

func (StreamDiffered) ofCluster()    {}
func (PublishingFailed) ofCluster()  {}
func (PublishingResumed) ofCluster() {}

func (e StreamDiffered) describe(d *Data) {
	d.detail("difference", e.What)
	d.detail("member", e.Node)
	d.detail("rebuilt", e.Rebuilt)
}

func (e PublishingFailed) describe(d *Data) {
	d.detail("cause", e.Cause)
	d.detail("member", e.Node)
}

func (e PublishingResumed) describe(d *Data) {
	d.detail("member", e.Node)
	d.detail("seconds", e.Seconds)
}
