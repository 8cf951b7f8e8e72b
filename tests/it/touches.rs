//! Which paths the rater reads out of a command's text, in three shells and in disguise.

use cmdai::{
    request::Shell,
    safety::{Existing, Search, Touch, assess},
};

/// `touches` in a form that fits in a table: `Trees(a b)`, `Move(a -> b)`, `in x`, `unseen Delete`.
fn shown(touches: &[Touch]) -> String {
    let one = |touch: &Touch| match touch {
        Touch::Enter(path) => format!("in {path}"),
        Touch::Remove { paths, what } => format!("{what:?}({})", paths.join(" ")),
        Touch::Find { action, search: Search { root, tests, .. }, what } => {
            format!("{action:?} {what:?} of find({root}, {} tests)", tests.len())
        }
        Touch::Transfer { how, sources, into, exactly, existing } => {
            let into = into.as_deref().unwrap_or("?");
            let exactly = if *exactly { " exactly" } else { "" };
            let kept = if *existing == Existing::Replaced { String::new() } else { format!(" {existing:?}") };
            format!("{how:?}({} -> {into}{exactly}{kept})", sources.join(" "))
        }
        Touch::Write { paths } => format!("Write({})", paths.join(" ")),
        Touch::Unseen(action) => format!("unseen {action:?}"),
    };
    touches.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn check(shells: &[Shell], rows: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for shell in shells {
        for (command, want) in rows {
            let got = shown(&assess(command, *shell).touches);
            if got != *want {
                wrong.push(format!("{}: {command}\n  {got}\n  {want} wanted", shell.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const ALL: &[Shell] = &[Shell::Bash, Shell::Zsh, Shell::Fish];

#[test]
fn paths_are_read_alike_in_every_shell() {
    check(
        ALL,
        &[
            ("ls -l", ""),
            ("cd src && ls", ""),
            ("echo rm -rf x", ""),
            ("grep -r 'rm -rf x' .", ""),
            ("rm --help", ""),
            ("rm a b", "Files(a b)"),
            ("rm -rf build", "Trees(build)"),
            ("rm -d x", "FilesAndEmptyFolders(x)"),
            ("rm -- -r x", "Files(-r x)"),
            ("rm -r 'my files' \"and more\"", "Trees(my files and more)"),
            ("rm *.txt", "Files(*.txt)"),
            ("rm '*.txt' \"a[1]\" b\\*", "Files([*].txt a[[]1] b[*])"),
            ("rm \"a b\"/*.o", "Files(a b/*.o)"),
            ("rm -r {a,b}/x", "Trees(a/x b/x)"),
            ("rm -r ~/x ~ $HOME/y \"$HOME\"/z", "Trees(~/x ~ ~/y ~/z)"),
            ("rm '~/x'", "Files(./~/x)"),
            ("rm ~bob/x", ""),
            ("rm -r $X", ""),
            ("rm -r \"$X\"/y a", "unseen Delete; Trees(a)"),
            ("rm (ls)", ""),
            ("rmdir a", "EmptyFolders(a)"),
            ("unlink a", "Files(a)"),
            ("shred -n 3 a", "Write(a)"),
            ("shred -u a", "Files(a)"),
            ("mv a b", "Move(a -> b)"),
            ("mv -t d a b", "Move(a b -> d)"),
            ("mv -n a b", "Move(a -> b Kept)"),
            ("mv -b a b", "Move(a -> b Renamed)"),
            ("mv -T a b", "Move(a -> b exactly)"),
            ("mv *.c $X", "unseen Overwrite; Move(*.c -> ?)"),
            ("cp a b", "Copy(a -> b)"),
            ("cp -r a b", "CopyTree(a -> b)"),
            ("cp -u a b", ""),
            ("install -m 755 a b", "Copy(a -> b)"),
            ("ln -s a b", ""),
            ("ln -sf a b", "Link(a -> b)"),
            ("dd if=a of=b", "Write(b)"),
            ("tee a < b", "Write(a)"),
            ("tee -a x", ""),
            ("truncate -s 0 a", "Write(a)"),
            ("sort a > b", "Write(b)"),
            ("sort a >> b", ""),
            ("sort a > /dev/null", ""),
            ("sed -i 's/a/b/' x.c", "Write(x.c)"),
            ("sudo rm -r x", "Trees(x)"),
            ("sudo -i rm -r x", ""),
            ("sudo -u bob sh -c 'rm ~/x /y'", "unseen Delete; Files(/y)"),
            ("env A=1 nice rm x", "Files(x)"),
            ("bash -c 'rm *.o'", "Files(*.o)"),
            ("cd x && rm -r y", "in x; Trees(x/y)"),
            ("cd x && rm -r .", "in x; Trees(x/.)"),
            ("cd x; cd ..; rm y", "in x; in x/..; Files(x/../y)"),
            ("cd $X && rm -r y", ""),
            ("cd $X && rm -r /y", "Trees(/y)"),
            ("ssh host rm -rf /srv/x", ""),
            ("docker exec c rm -rf /srv/x", ""),
            ("chroot /mnt rm -rf /srv/x", ""),
            ("ls | xargs rm", ""),
            ("find . -name '*.o' | xargs rm", ""),
            ("rsync -a --delete a/ b/", ""),
            ("find . -name '*.o' -delete", "Delete FilesAndEmptyFolders of find(., 1 tests)"),
            (
                "find a b -type f -empty -delete",
                "Delete FilesAndEmptyFolders of find(a, 2 tests); Delete FilesAndEmptyFolders of find(b, 2 tests)",
            ),
            ("find . -name '*.o' -exec rm {} +", "Delete Files of find(., 1 tests)"),
            ("find . -type d -name x -exec rm -rf '{}' ';'", "Delete Trees of find(., 2 tests)"),
            ("find . -name a -o -name b -delete", ""),
            ("find . -newer x -delete", ""),
            ("find . -name $X -delete", ""),
            ("find . -name '*.o' -exec mv {} old ';'", "Move Trees of find(., 1 tests)"),
        ],
    );
}

#[test]
fn paths_are_read_as_each_shell_reads_them() {
    check(
        &[Shell::Bash],
        &[
            ("x='*.c'; rm $x", "Files(*.c)"),
            ("x='*.c'; rm \"$x\"", "Files([*].c)"),
            ("x=~/a; rm -r \"$x\"", "Trees(~/a)"),
            ("for f in *.c; do rm \"$f\"; done", "Files(*.c)"),
            ("for f in a b; do mv $f $f.bak; done", "unseen Overwrite; Move(a b a.bak -> ?)"),
            ("for f in *.c; do mv \"$f\" \"${f%.c}.h\"; done", "unseen Overwrite; Move(*.c -> ?)"),
            ("a=(*.c 'b*'); rm \"${a[@]}\"", "unseen Delete; Files(*.c)"),
            ("rm $(ls)", ""),
            ("rm -rf \"$(pwd)/x\"", "Trees(./x)"),
            ("rm -rf ${X:-/tmp/x}", ""),
            ("rm -rf \"$XDG_CACHE_HOME/x\"", ""),
            ("find . | while read f; do rm \"$f\"; done", ""),
            ("(cd x && rm y); rm z", "in x; Files(x/y); Files(z)"),
            ("rm a{1..3}", ""),
            ("rm **", ""),
            ("rm a**b [^a]* [[:digit:]]", "unseen Delete; Files(a*b [!a]*)"),
            ("shopt -s dotglob; rm *", ""),
            ("rm 'x", ""),
            ("cat <> x; rm y", ""),
            ("rm \"$(mktemp)\"", ""),
            ("echo a &> b", "Write(b)"),
            ("echo a 2>&1 >| b", "Write(b)"),
        ],
    );
    check(
        &[Shell::Zsh],
        &[
            ("x='*.c'; rm $x", "Files([*].c)"),
            ("rm **/*.o", "Files(**/*.o)"),
            ("rm *(.om[1])", ""),
            ("rm x # y", ""),
            ("rm =ls", ""),
        ],
    );
    check(
        &[Shell::Fish],
        &[
            ("rm [a]", "Files([[]a])"),
            ("rm a?", ""),
            ("rm **.o", ""),
            ("set x '*.c'; rm $x", ""),
            ("echo a >? b", ""),
            ("rm (ls)", ""),
        ],
    );
}
