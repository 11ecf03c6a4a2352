# Makes this Windows a client of the lab's gateway: the route to it through the NAT, and the connection "lockstep".
$ErrorActionPreference = 'Stop'
$home_if = (Get-NetIPAddress -IPAddress 192.168.77.13).InterfaceIndex
if (-not (Get-NetRoute -DestinationPrefix 198.51.100.0/24 -ErrorAction SilentlyContinue)) {
  New-NetRoute -DestinationPrefix 198.51.100.0/24 -InterfaceIndex $home_if -NextHop 192.168.77.1 | Out-Null
}
if (Get-VpnConnection -Name lockstep -ErrorAction SilentlyContinue) { Remove-VpnConnection -Name lockstep -Force }
Add-VpnConnection -Name lockstep -ServerAddress 198.51.100.1 -TunnelType L2tp -L2tpPsk 'lab-only-pre-shared-key' `
  -AuthenticationMethod MSChapv2 -EncryptionLevel Optional -SplitTunneling -Force
# The routes of split tunnelling belong to the connection: Windows adds them when it is up.
Add-VpnConnectionRoute -ConnectionName lockstep -DestinationPrefix 10.20.0.0/24
