"""`smallbig prepare` by the path of version 0.1.0; its options are in docs/cli.md."""

from smallbig_keras.cli import script

main = script("prepare")

if __name__ == "__main__":
    main()
