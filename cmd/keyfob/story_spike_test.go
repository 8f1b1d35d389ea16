package main
import ("testing";"os/exec")
func TestSpike(t *testing.T){
 needMachine(t,"ip")
 out,_:=exec.Command("sh","-c","ip a; ps ax; ip netns add x; ip netns; ls /run; mount | tail -4; cat /etc/resolv.conf; ls -l /dev/net/tun; go version").CombinedOutput()
 t.Logf("%s",out)
}
