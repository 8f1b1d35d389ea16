package stream

import (
	"encoding/json"
	"errors"
)

// durables returns the durable consumers, for a stream that is about to be rebuilt.
func (p *proxy) durables() []consumerInfo {
	all, err := p.list()
	if err != nil {
		p.log.Warn("positions of durable consumers lost", "err", err)
		return nil
	}
	var durable []consumerInfo
	for _, c := range all {
		if c.Config.Durable != "" {
			durable = append(durable, c)
		}
	}
	return durable
}

// restore creates durable consumers again, where they were, once there is a stream.
// It returns those that remain to be created.
func (p *proxy) restore(lost []consumerInfo) []consumerInfo {
	for i, c := range lost {
		err := p.recreate(c)
		var api *apiError
		switch {
		case errors.As(err, &api) && api.ErrCode == errNoStream.ErrCode:
			return lost[i:]
		case err != nil:
			p.log.Warn("durable consumer not created again", "consumer", c.Name, "err", err)
		}
	}
	return nil
}

// recreate creates a consumer that continues where c was.
func (p *proxy) recreate(c consumerInfo) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	var info struct {
		Config map[string]any `json:"config"`
	}
	if err := json.Unmarshal(c.raw, &info); err != nil {
		return err
	}
	delete(info.Config, "opt_start_time")
	info.Config["deliver_policy"], info.Config["opt_start_seq"] = "by_start_sequence", c.AckFloor.Stream+1
	body, err := json.Marshal(map[string]any{"stream_name": Name, "config": info.Config, "action": "create"})
	if err != nil {
		return err
	}
	if _, err := p.ask(durableAPI+"."+c.Name, body); err != nil {
		return err
	}
	all, err := p.list()
	if err != nil {
		return err
	}
	return p.permit(c.owner(), owned(all, c.owner()))
}
