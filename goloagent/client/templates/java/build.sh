#!/bin/sh
# Build `loadtest`, one executable file: a JAR behind two lines of shell, which Java skips.
# Stdout is for results, so the warnings of the virtual machine go to stderr.
set -eu
cd "$(dirname "$0")"
javac --release 17 -d build LoadTest.java
jar --create --file build/loadtest.jar --main-class LoadTest -C build LoadTest.class
{
    echo '#!/bin/sh'
    echo 'exec java -XX:+DisplayVMOutputToStderr -Xlog:disable -Xlog:all=warning:stderr -jar "$0" "$@"'
    cat build/loadtest.jar
} >loadtest
chmod +x loadtest
