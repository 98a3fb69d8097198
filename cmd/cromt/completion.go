package main

import (
	"github.com/alecthomas/kong"

	"github.com/cromt/cromt/cmd/cromt/completion"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help implements kong.HelpProvider.
func (completionCmd) Help() string {
	return `How to have it in each shell:

    bash  source <(cromt completion bash), in ~/.bashrc
    zsh   cromt completion zsh > "${fpath[1]}/_cromt"
    fish  cromt completion fish > ~/.config/fish/completions/cromt.fish`
}

// Run is the subcommand.
func (c *completionCmd) Run(p *program) error {
	var cmds []completion.Command
	for _, n := range p.parser.Model.Children {
		cmd := completion.Command{Name: n.Name, Help: n.Help}
		for _, f := range n.Flags {
			cmd.Flags = append(cmd.Flags, completion.Flag{
				Name: f.Name, Short: f.Short, Help: f.Help, Value: !f.IsBool(), Choices: choices(f.Value),
			})
		}
		for _, a := range n.Positional {
			cmd.Choices = append(cmd.Choices, choices(a)...)
		}
		cmds = append(cmds, cmd)
	}
	return completion.Write(p.stdout, c.Shell, "cromt", cmds)
}

func choices(v *kong.Value) []string {
	var out []string
	for _, c := range v.EnumSlice() {
		if c != "" {
			out = append(out, c)
		}
	}
	return out
}
