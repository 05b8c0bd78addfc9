"""The fixed part of the nftables table: hooks, dispatch, source addresses, refusals. Pure text.

How a packet goes:

- `prerouting` and `output` look its destination up in `services` (virtual addresses) and `nodeports`. What is found is
  a chain that picks an endpoint: one hash lookup, whatever the number of services. Only a connection's first packet
  passes here; connection tracking does the rest, so that a change of rules breaks no connection that stands.
- `pick-tcp-N` chains are shared by all Services with N endpoints: they draw a number below N and find the endpoint in
  the map `endpoints-tcp` under (address, port, number). So a Service is nothing but map elements, and a change is
  nothing but elements too. One map a protocol: nft derives from the type of the value which protocol a rule is for.
- `inside-services` comes before `services` for pods and programs of this machine: a load balancer's or external address
  whose traffic is to stay on this machine (`externalTrafficPolicy: Local`) leads them to endpoints everywhere.
- `postrouting` gives a pod that reaches itself through its Service, a client on loopback, and a client whose connection
  leaves this machine again the machine's own address as source: the answer has to come back here. Everybody else keeps
  their address, as answers from pods of this machine pass its bridge in any case.
- `guard-prerouting` and `guard-output` see a packet before anything else does, and drop it where a Service's load
  balancer is for certain clients only (`guarded`).
- `refuse` answers what nothing took: Services without endpoints, unknown ports of the service range. It does so before
  routing, since the route to the service range leads to the bridge (see `host`) and a router that sends a packet back
  where it came from tells the sender a better way, which here is none. TCP is reset, as the kernel limits how many ICMP
  messages a client gets.
"""

from __future__ import annotations

from dataclasses import dataclass

MARK = 0x2000
"""Bit of the packet mark that says: the destination was chosen here."""


@dataclass(frozen=True, slots=True)
class TableSettings:
    """What the table depends on besides Services."""

    name: str
    bridge: str
    cluster_cidr: str
    service_cidr: str
    node_port_addresses: tuple[str, ...] = ()
    """CIDRs on which NodePorts answer; none means every local address."""
    load_balancer_cidrs: tuple[str, ...] = ()
    """Ranges of load balancers' addresses: what no Service has of them is refused, as in the service range."""
    bridge_filtered: bool = True
    """Whether packets between ports of a bridge pass these hooks (br_netfilter)."""


def recreate(settings: TableSettings) -> str:
    """A script that replaces the table, whatever is there, by one without Services.

    The keys of the `endpoints` maps end in the number drawn, whose type nft can only say by example (`typeof`).
    """
    name, cluster = settings.name, settings.cluster_cidr
    local = (
        f"ip daddr {{ {', '.join(settings.node_port_addresses)} }}"
        if settings.node_port_addresses
        else "fib daddr type local"
    )
    hidden = "" if settings.bridge_filtered else f'\n    iifname "{settings.bridge}" masquerade fully-random'
    endpoints = "\n".join(
        f"  map {prefix}endpoints-{protocol} {{\n"
        f"    typeof {address}{protocol} dport . numgen random mod 2 : ip daddr . {protocol} dport\n  }}"
        for protocol in ("tcp", "udp", "sctp")
        for prefix, address in (("", "ip daddr . "), ("inside-", "ip daddr . "), ("nodeport-", ""))
    )
    refused = "\n".join(
        f"    ip daddr {network} goto refuse-reject"
        for network in (settings.service_cidr, *settings.load_balancer_cidrs)
    )
    return f"""\
add table ip {name}
delete table ip {name}
table ip {name} {{
  map services {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map inside-services {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map nodeports {{ type inet_proto . inet_service : verdict; }}
{endpoints}
  map guarded {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map refused {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map refused-nodeports {{ type inet_proto . inet_service : verdict; }}
  set hairpins {{ type ipv4_addr . ipv4_addr; }}

  chain guard-prerouting {{
    type filter hook prerouting priority dstnat - 10; policy accept;
    ct state new ip daddr . meta l4proto . th dport vmap @guarded
  }}
  chain guard-output {{
    type filter hook output priority -110; policy accept;
    ct state new ip daddr . meta l4proto . th dport vmap @guarded
  }}

  chain dispatch {{
    ip daddr . meta l4proto . th dport vmap @services
    {local} meta l4proto . th dport vmap @nodeports
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat - 5; policy accept;
    ip saddr {cluster} ip daddr . meta l4proto . th dport vmap @inside-services
    jump dispatch
  }}
  chain output {{
    type nat hook output priority -105; policy accept;
    ip daddr . meta l4proto . th dport vmap @inside-services
    jump dispatch
  }}

  chain service-source {{
    ip saddr . ip daddr @hairpins masquerade fully-random
    ip saddr 127.0.0.0/8 masquerade fully-random
    oifname != "{settings.bridge}" ip saddr != {cluster} masquerade fully-random{hidden}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat - 5; policy accept;
    meta mark & {MARK:#x} == {MARK:#x} jump service-source
    ip saddr {cluster} ip daddr != {cluster} oifname != "{settings.bridge}" masquerade fully-random
  }}

  chain refuse-reject {{
    meta l4proto tcp reject with tcp reset
    reject
  }}
  chain refuse-drop {{
    drop
  }}
  chain refuse {{
    ip daddr . meta l4proto . th dport vmap @refused
    {local} meta l4proto . th dport vmap @refused-nodeports
{refused}
  }}
  chain filter-prerouting {{
    type filter hook prerouting priority dstnat + 5; policy accept;
    ct state new ip daddr 127.0.0.0/8 iifname "{settings.bridge}" drop
    ct state new jump refuse
  }}
  chain filter-output {{
    type filter hook output priority filter - 5; policy accept;
    ct state new jump refuse
  }}
}}
"""


def remove(name: str) -> str:
    """A script that removes the table, whether it is there or not."""
    return f"add table ip {name}\ndelete table ip {name}\n"
