"""`smallbig export --format tflite` by the path of version 0.1.0; see docs/cli.md."""

from smallbig_keras.cli import script

main = script("export", "--format", "tflite")

if __name__ == "__main__":
    main()
