// Package completion writes the scripts by which shells complete the command
// line of a program with subcommands.
package completion

import (
	"fmt"
	"io"
	"strings"
)

// Command is a subcommand.
type Command struct {
	Name, Help string
	Flags      []Flag
	Choices    []string // of its argument; none: it takes names that are not known
}

// Flag is a flag of a Command.
type Flag struct {
	Name, Help string
	Short      rune     // 0: none
	Value      bool     // it takes a value
	Choices    []string // of the value; none: any, completed as a file
}

// Write writes the script of the program for bash, zsh or fish.
func Write(w io.Writer, shell, program string, cmds []Command) error {
	var b strings.Builder
	switch shell {
	case "bash":
		bash(&b, program, cmds)
	case "zsh":
		zsh(&b, program, cmds)
	case "fish":
		fish(&b, program, cmds)
	default:
		return fmt.Errorf("completion: no script for %s; there are bash, zsh and fish", shell)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func names(cmds []Command) string {
	list := make([]string, len(cmds))
	for i, c := range cmds {
		list[i] = c.Name
	}
	return strings.Join(list, " ")
}

func bash(b *strings.Builder, program string, cmds []Command) {
	fmt.Fprintf(b, `_%[1]s() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd=${COMP_WORDS[1]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '%[2]s --help' -- "$cur"))
    return
  fi
  case "$cmd $prev" in
`, program, names(cmds))
	for _, c := range cmds {
		for _, f := range c.Flags {
			if f.Value && len(f.Choices) > 0 {
				fmt.Fprintf(b, "    '%s --%s') COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n", c.Name, f.Name, strings.Join(f.Choices, " "))
			} else if f.Value {
				fmt.Fprintf(b, "    '%s --%s') COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", c.Name, f.Name)
			}
		}
	}
	b.WriteString("  esac\n  case \"$cmd\" in\n")
	for _, c := range cmds {
		var flags []string
		for _, f := range c.Flags {
			flags = append(flags, "--"+f.Name)
		}
		fmt.Fprintf(b, "    %s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")) ;;\n", c.Name, strings.Join(append(flags, c.Choices...), " "))
	}
	fmt.Fprintf(b, "  esac\n}\ncomplete -o default -F _%[1]s %[1]s\n", program)
}

func zsh(b *strings.Builder, program string, cmds []Command) {
	fmt.Fprintf(b, "#compdef %[1]s\n_%[1]s() {\n  local -a commands\n  commands=(\n", program)
	for _, c := range cmds {
		fmt.Fprintf(b, "    %s\n", quote(c.Name+":"+c.Help))
	}
	b.WriteString("  )\n  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n  local cmd=$words[2]\n  shift words; (( CURRENT-- ))\n  case $cmd in\n")
	esc := strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`)
	for _, c := range cmds {
		fmt.Fprintf(b, "    %s) _arguments", c.Name)
		for _, f := range c.Flags {
			spec := "--" + f.Name + "[" + esc.Replace(f.Help) + "]"
			if f.Value && len(f.Choices) > 0 {
				spec += ":value:(" + strings.Join(f.Choices, " ") + ")"
			} else if f.Value {
				spec += ":value:_files"
			}
			b.WriteString(" \\\n      " + quote(spec))
		}
		if len(c.Choices) > 0 {
			b.WriteString(" \\\n      " + quote("*:argument:("+strings.Join(c.Choices, " ")+")"))
		}
		b.WriteString(" ;;\n")
	}
	fmt.Fprintf(b, "  esac\n}\nif [ \"$funcstack[1]\" = _%[1]s ]; then _%[1]s \"$@\"; else compdef _%[1]s %[1]s; fi\n", program)
}

func fish(b *strings.Builder, program string, cmds []Command) {
	for _, c := range cmds {
		fmt.Fprintf(b, "complete -c %s -n __fish_use_subcommand -f -a %s -d %s\n", program, c.Name, quote(c.Help))
		for _, f := range c.Flags {
			fmt.Fprintf(b, "complete -c %s -n '__fish_seen_subcommand_from %s' -l %s -d %s", program, c.Name, f.Name, quote(f.Help))
			if f.Short != 0 {
				fmt.Fprintf(b, " -s %c", f.Short)
			}
			switch {
			case f.Value && len(f.Choices) > 0:
				fmt.Fprintf(b, " -x -a '%s'", strings.Join(f.Choices, " "))
			case f.Value:
				b.WriteString(" -r")
			}
			b.WriteString("\n")
		}
		if len(c.Choices) > 0 {
			fmt.Fprintf(b, "complete -c %s -n '__fish_seen_subcommand_from %s' -f -a '%s'\n", program, c.Name, strings.Join(c.Choices, " "))
		}
	}
}

// quote makes a word of s for all three shells; fish reads \ in single
// quotes only before ' and \.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `’`) + "'"
}
