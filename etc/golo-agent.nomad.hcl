# An agent on each client of the cluster; the token is the Nomad variable nomad/jobs/golo-agent.
job "golo-agent" {
  type = "system"

  group "agent" {
    network {
      port "http" {
        static = 8081
      }
    }

    # Results that the collector has not taken yet outlive an allocation on the same client here.
    ephemeral_disk {
      sticky = true
      size   = 10240
    }

    service {
      name     = "golo-agent"
      port     = "http"
      provider = "nomad"
      check {
        type     = "tcp"
        interval = "10s"
        timeout  = "2s"
      }
    }

    task "agent" {
      driver = "docker"
      # A stopping agent ends its load test and delivers its results: 20 s at most.
      # A client allows no more, unless its max_kill_timeout is raised.
      kill_timeout = "30s"

      config {
        image = "golo-agent"
        ports = ["http"]
        args = [
          "--listen=tcp:8081:interface=0.0.0.0",
          "--token-file=${NOMAD_SECRETS_DIR}/token",
          "--state=${NOMAD_TASK_DIR}/state",
          "--logs=${NOMAD_TASK_DIR}/logs",
        ]
      }

      template {
        destination = "${NOMAD_SECRETS_DIR}/token"
        data        = "{{ with nomadVar \"nomad/jobs/golo-agent\" }}{{ .token }}{{ end }}"
      }

      resources {
        cpu    = 1000
        memory = 512
      }
    }
  }
}
