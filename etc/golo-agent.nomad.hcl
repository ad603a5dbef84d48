# An agent on each client of the cluster; the token is the Nomad variable nomad/jobs/golo-agent.
job "golo-agent" {
  type = "system"

  group "agent" {
    network {
      port "http" {
        static = 8081
      }
    }

    # Pending results survive here until the next allocation on the same client.
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
      # An agent needs 20 s at most to stop its load test and deliver its results.
      # A larger value needs a larger max_kill_timeout of the client.
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
