# Reads lines of "pattern<TAB>text" and says for each what Sparrow6's way of
# matching makes of it: "error", "False", or "True<TAB>$0 or the text".
for $*IN.lines -> $line {
    my ($pattern, $text) = $line.split("\t", 2);
    $text = $text.subst(/'\\x{' (<xdigit>+) '}'/, { chr(:16(~$0)) }, :g);
    my $found = try { my @m = $text.comb(/<mymatch=$pattern>/, :match)>>.<mymatch>; @m }
    without $found { say 'error'; next }
    my @captures = quietly $found>>.Slip>>.Str;
    say $found ?? "True\t" ~ (@captures ?? @captures[0] !! $text) !! 'False';
}
