#!/bin/sh
# Makes src/roomtone/assets/sample.flac: about 15 s of speech for the demo and the tests, 24 kHz mono, peak -3 dBFS,
# 0.2 s of silence at each end. Needs espeak-ng and ffmpeg. The words are our own, and so is the recording.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/text.txt" <<'TEXT'
Hello, and welcome to Roomtone! Every quiet place has a sound of its own.
Small packets leave, just in time, and arrive as a voice.
Speak softly, laugh loudly, or interrupt me. The room is yours!
TEXT
espeak-ng -v en-us+f3 -s 158 -p 46 -g 1 -f "$work/text.txt" -w "$work/speech.wav"

trimmed="silenceremove=start_periods=1:start_threshold=-60dB,areverse,silenceremove=start_periods=1:start_threshold=-60dB,areverse"
ffmpeg -v error -i "$work/speech.wav" -af "$trimmed,aresample=24000:filter_size=64" -ac 1 "$work/trimmed.wav"
peak=$(ffmpeg -hide_banner -i "$work/trimmed.wav" -af volumedetect -f null - 2>&1 | sed -n 's/.*max_volume: \(.*\) dB/\1/p')
gain=$(awk "BEGIN { print -3 - ($peak) }")
ffmpeg -v error -y -i "$work/trimmed.wav" -af "volume=${gain}dB,adelay=200,apad=pad_dur=0.2" \
    -ac 1 -ar 24000 -sample_fmt s16 -map_metadata -1 -bitexact -compression_level 12 src/roomtone/assets/sample.flac
