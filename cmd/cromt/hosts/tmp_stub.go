package hosts

import "github.com/cromt/cromt/flow"

func Parse(name string, data []byte, home string) (*Book, error) {
	b := &Book{home: home, file: name, entries: map[string]flow.HostEntry{}, tokens: map[string]string{}}
	list, err := flow.ParseHosts(name, data)
	for _, e := range list {
		b.entries[Key(e.URL)] = e
	}
	return b, err
}
func (b *Book) Secrets(lookup func(string) string)    {}
func (b *Book) Entry(u string) (flow.HostEntry, bool) { e, ok := b.entries[Key(u)]; return e, ok }
func (b *Book) IsToken(name string) bool              { return false }
