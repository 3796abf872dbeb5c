#compdef calrelay

_calrelay_completion() {
  eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _CALRELAY_COMPLETE=complete_zsh calrelay)
}

compdef _calrelay_completion calrelay
